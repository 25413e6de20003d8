//! A run of many items while control, Postgres and the runner are killed: every item is counted once.

use std::time::Duration;

use alphagate_bed::{Bed, Options, Postgres, RunnerOptions};
use alphagate_tests::{has_gvisor, until};
use anyhow::Result;
use serde_json::{Value, json};

use super::scene::{Scene, count_by, python};

/// The items of the run: the number.
const ITEMS: usize = 200;
/// The slowest that two loaded cores get through it.
const RUN_MAX: Duration = Duration::from_secs(400);

/// Passes if the answer names the item's own number.
const GRADER: &str = "def grade(sample, item):\n    return float(item['wanted'] in sample['output_text'])\n";

async fn progress(scene: &Scene, eval: &str, run: &str, wanted: i64) -> Result<()> {
    until("some of the run is done", RUN_MAX, async || {
        let path = format!("/v1/evals/{eval}/runs/{run}");
        let Ok(run) = scene.evaluator.control.get::<Value>(&path).await else { return Ok(None) };
        let counts = &run["result_counts"];
        let done =
            ["passed", "failed", "errored"].iter().filter_map(|name| counts[name].as_i64()).sum::<i64>();
        Ok((done >= wanted).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_run_of_two_hundred_items_counts_each_once_whoever_is_killed() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let options = Options { postgres: Postgres::Own, ..Options::default() }.control_var("AG_LEASE_MS", 4_000);
    let bed: &'static Bed = Box::leak(Box::new(Bed::start(options).await?));
    let first = bed.start_runner(RunnerOptions::new("first", 4, 16)).await?;
    let scene = Scene::new(bed).await?;
    scene.answers(&[("even", "it is even"), ("odd", "it is not")]);
    let eval = scene.eval("parity", &json!([python("parity", GRADER)])).await?;
    let word = |number: usize| if number.is_multiple_of(2) { "even" } else { "odd" };
    let items: Vec<Value> = (0..ITEMS)
        .map(|number| json!({"task": format!("{number} is {}", word(number)), "wanted": word(number)}))
        .collect();
    let run = scene.run(&eval, &items).await?;
    progress(&scene, &eval, &run, 20).await?;
    bed.kill_control().await;
    bed.start_control().await?;
    progress(&scene, &eval, &run, 60).await?;
    bed.restart_postgres_immediate().await?;
    progress(&scene, &eval, &run, 100).await?;
    first.kill().await;
    let second = bed.start_runner(RunnerOptions::new("second", 4, 16)).await?;
    let ended = scene.evaluator.run_ended(&eval, &run, RUN_MAX).await?;
    let half = ITEMS / 2;
    assert_eq!(
        ended["result_counts"],
        json!({"total": ITEMS, "passed": half, "failed": half, "errored": 0}),
        "{ended:#}"
    );
    let found = scene.evaluator.output_items(&eval, &run).await?;
    assert_eq!(found.len(), ITEMS);
    let statuses = count_by(&found, |item| item["status"].as_str());
    assert_eq!((statuses.get("pass"), statuses.get("fail")), (Some(&half), Some(&half)), "{statuses:?}");
    second.drain().await;
    Ok(())
}
