//! Cancel reaches a job wherever it is, and nothing of it is left on the host.

use std::time::{Duration, Instant};

use alphagate_bed::{Bed, Options, RunnerOptions};
use alphagate_tests::{Evaluator, has_gvisor, processes_with, until};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// From the call to the end of the job.
const CANCEL_MAX: Duration = Duration::from_secs(2);

fn endless() -> Value {
    json!({"language": "bash", "source": "echo begun; sleep 1000", "limits": {"wall_ms": 100_000}})
}

async fn cancel(evaluator: &Evaluator, id: &str) -> Result<()> {
    let begun = Instant::now();
    evaluator.cancel(id).await?;
    let job = evaluator.ended(id).await?;
    assert_eq!(job["state"], "canceled", "{job:#}");
    assert!(begun.elapsed() < CANCEL_MAX, "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn cancel_reaches_a_queued_a_starting_and_a_running_job_and_leaves_nothing() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let bed = Bed::start(Options::default()).await?;
    let evaluator = Evaluator::new(&bed, "Cancel").await?;
    let queued = evaluator.submit(&endless()).await?;
    cancel(&evaluator, &queued).await.context("queued")?;
    let runner = bed.start_runner(RunnerOptions::new("cancel", 1, 0)).await?;
    let starting = evaluator.submit(&endless()).await?;
    evaluator.job_in(&starting, &["starting", "running"]).await?;
    cancel(&evaluator, &starting).await.context("starting")?;
    let running = evaluator.submit(&endless()).await?;
    evaluator.job_in(&running, &["running"]).await?;
    cancel(&evaluator, &running).await.context("running")?;
    let state = runner.state.display().to_string();
    runner.drain().await;
    until("no process of a sandbox is left", CANCEL_MAX, async || {
        Ok(processes_with(&state)?.is_empty().then_some(()))
    })
    .await?;
    bed.stop().await;
    Ok(())
}
