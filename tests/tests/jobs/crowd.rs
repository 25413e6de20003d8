//! Two hundred jobs of two orgs at once: all end, orgs share fairly, and nobody's memory grows.

use std::time::Duration;

use alphagate_bed::{Bed, Options, RunnerOptions};
use alphagate_tests::{Evaluator, has_gvisor, memory_bytes, until};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Jobs of each of the two orgs.
const JOBS: usize = 100;
/// How far the orgs' slot-seconds may be apart while both have jobs waiting.
const UNFAIR_MAX: f64 = 0.20;
/// How much a program may grow over 200 jobs: allocators keep what they had at the busiest moment.
const GROWTH_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The slowest that two loaded cores get through it.
const CROWD_MAX: Duration = Duration::from_secs(300);

fn job(number: usize) -> Value {
    let priority = ["low", "normal", "high"][number % 3];
    json!({"language": "bash", "source": "echo done", "priority": priority, "labels": []})
}

/// How many jobs have ended.
async fn done(evaluators: &[Evaluator]) -> Result<usize> {
    let mut number = 0;
    for evaluator in evaluators {
        let mut path = "/v1/jobs?limit=100&state=done".to_owned();
        loop {
            let page: Value = evaluator.control.get(&path).await?;
            number += page["data"].as_array().context("no jobs")?.len();
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/jobs?limit=100&state=done&cursor={cursor}");
        }
    }
    Ok(number)
}

async fn until_done(evaluators: &[Evaluator], wanted: usize) -> Result<()> {
    until(&format!("{wanted} jobs are done"), CROWD_MAX, async || {
        Ok((done(evaluators).await? >= wanted).then_some(()))
    })
    .await
}

#[tokio::test]
async fn two_hundred_jobs_of_two_orgs_all_end_fairly_and_a_second_runner_takes_its_share() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let bed = Bed::start(Options::default()).await?;
    let orgs = [Evaluator::new(&bed, "Even").await?, Evaluator::new(&bed, "Odd").await?];
    for org in &orgs {
        let jobs: Vec<Value> = (0..JOBS).map(job).collect();
        org.submit_all(&jobs).await?;
    }
    let first = bed.start_runner(RunnerOptions::new("first", 8, 0)).await?;
    let before = (memory_bytes(first.pid())?, memory_bytes(bed.control_pid().await?)?);
    until_done(&orgs, 2 * JOBS / 3).await?;
    let second = bed.start_runner(RunnerOptions::new("second", 8, 0)).await?;
    until_done(&orgs, 4 * JOBS / 3).await?;
    let database = bed.database();
    let (even_s, odd_s) =
        (database.slot_seconds(&orgs[0].org.id).await?, database.slot_seconds(&orgs[1].org.id).await?);
    let apart = (even_s - odd_s).abs() / (even_s + odd_s);
    assert!(apart < UNFAIR_MAX, "{even_s} s and {odd_s} s");
    until_done(&orgs, 2 * JOBS).await?;
    let after = (memory_bytes(first.pid())?, memory_bytes(bed.control_pid().await?)?);
    assert!(after.0 < before.0 + GROWTH_MAX_BYTES, "runner: {} to {}", before.0, after.0);
    assert!(after.1 < before.1 + GROWTH_MAX_BYTES, "control: {} to {}", before.1, after.1);
    let shares: Value = bed.operator()?.get("/operator/v1/runners").await?;
    let share = |name: &str| {
        let runners = shares["data"].as_array().into_iter().flatten();
        runners
            .filter(|runner| runner["name"] == name)
            .filter_map(|runner| runner["finished"].as_u64())
            .sum::<u64>()
    };
    assert!(share("second") > 0 && share("first") > share("second") / 4, "{shares:#}");
    first.drain().await;
    second.drain().await;
    bed.stop().await;
    Ok(())
}
