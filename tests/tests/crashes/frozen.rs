//! A runner that is frozen for longer than its lease: its late result counts if nobody took over, and only then.

use std::time::Duration;

use alphagate_bed::RunnerOptions;
use alphagate_tests::has_gvisor;
use anyhow::Result;
use serde_json::json;

use super::scene::{LEASE, Scene};

/// Long past the lease; the long form is the 20 s.
fn frozen_for() -> Duration {
    if std::env::var_os("AG_DEEP").is_some() { Duration::from_secs(20) } else { LEASE * 2 }
}

#[tokio::test]
async fn r10_a_frozen_runners_late_result_counts_only_if_nobody_took_over() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new().await?;
    let job = json!({"language": "bash", "source": "echo begun; sleep 1; echo ended"});
    let alone = scene.evaluator.submit(&job).await?;
    scene.evaluator.job_in(&alone, &["running"]).await?;
    scene.freeze(frozen_for()).await?;
    let ended = scene.evaluator.ended(&alone).await?;
    assert_eq!(ended["outcome"], "passed", "{ended:#}");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(1), "nobody else was there: {ended:#}");

    let taken = scene.evaluator.submit(&job).await?;
    scene.evaluator.job_in(&taken, &["running"]).await?;
    let (other, frozen) = tokio::join!(
        scene.bed.start_runner(RunnerOptions::new("other", 2, 0)),
        scene.freeze(frozen_for() + Duration::from_secs(10))
    );
    frozen?;
    let ended = scene.evaluator.ended(&taken).await?;
    assert_eq!(ended["outcome"], "passed", "{ended:#}");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(2), "the other took over: {ended:#}");
    assert_eq!(scene.evaluator.output(&taken, "stdout").await?, b"begun\nended\n");
    other?.drain().await;
    Ok(())
}
