//! A job at each named point of its life, and each victim.

use std::time::{Duration, Instant};

use alphagate_tests::has_gvisor;
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::scene::{LEASE, POLL, Scene, Victim};

/// On top of lease and poll: a runner's start with its self-test, a sandbox's boot, and two loaded cores.
const ROOM: Duration = Duration::from_secs(20);

/// Where in its life a job is when the crash comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    AfterClaim,
    DuringTheRun,
    BeforeFinish,
    AfterFinish,
}

const POINTS: [Point; 4] = [Point::AfterClaim, Point::DuringTheRun, Point::BeforeFinish, Point::AfterFinish];

/// Long enough to be met at work, short enough to be waited for.
fn job() -> Value {
    json!({"language": "bash", "source": "echo begun; sleep 1; echo ended"})
}

async fn bring_to(scene: &Scene, id: &str, point: Point) -> Result<()> {
    let states: &[&str] = match point {
        Point::AfterClaim => &["starting", "running", "done"],
        Point::DuringTheRun | Point::BeforeFinish => &["running", "done"],
        Point::AfterFinish => &["done"],
    };
    scene.evaluator.job_in(id, states).await?;
    if point == Point::BeforeFinish {
        // The job ends while nobody takes its report.
        scene.bed.kill_control().await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    Ok(())
}

async fn ends_once(scene: &Scene, point: Point, victim: Victim) -> Result<()> {
    let id = scene.evaluator.submit(&job()).await?;
    bring_to(scene, &id, point).await?;
    let crashed_at = Instant::now();
    if point == Point::BeforeFinish && victim == Victim::Runner {
        // Its successor asks control for what is left, so control comes back first, and the report may win the race.
        scene.bed.start_control().await?;
    }
    scene.crash(victim).await?;
    if point == Point::BeforeFinish {
        scene.bed.start_control().await?;
    }
    let ended = scene.evaluator.ended(&id).await?;
    assert_eq!((&ended["state"], &ended["outcome"]), (&json!("done"), &json!("passed")), "{ended:#}");
    assert!(crashed_at.elapsed() < LEASE + POLL + ROOM, "{:?}", crashed_at.elapsed());
    let output = scene.evaluator.output(&id, "stdout").await?;
    assert_eq!(output, b"begun\nended\n", "{ended:#}");
    let attempts = ended["attempts"].as_array().context("no attempts")?.len();
    let most = if victim == Victim::Runner && point != Point::AfterFinish { 2 } else { 1 };
    assert!((1..=most).contains(&attempts), "{attempts} attempts: {ended:#}");
    Ok(())
}

#[tokio::test]
async fn r08_every_job_ends_exactly_once_whoever_is_killed_wherever_it_is() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new().await?;
    for victim in Victim::ALL {
        for point in POINTS {
            ends_once(&scene, point, victim).await.with_context(|| format!("{victim:?} {point:?}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn five_seconds_without_postgres_cost_no_attempt() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new().await?;
    let source = "echo begun; sleep 9; echo ended";
    let id = scene.evaluator.submit(&json!({"language": "bash", "source": source})).await?;
    scene.evaluator.job_in(&id, &["running"]).await?;
    // Longer than the lease: only the outage itself explains why nothing was renewed.
    scene.bed.postgres_away(Duration::from_secs(5)).await?;
    let ended = scene.evaluator.ended(&id).await?;
    assert_eq!(ended["outcome"], "passed", "{ended:#}");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(1), "{ended:#}");
    assert_eq!(scene.evaluator.output(&id, "stdout").await?, b"begun\nended\n");
    Ok(())
}
