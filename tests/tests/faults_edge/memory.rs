//! Many large bodies at once (E26): the isolate's byte budget says no before memory does.

use std::time::Duration;

use alphagate_bed::{Bed, Options};
use alphagate_tests::{Caller, Raw, Stage, resident_bytes};
use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::JoinSet;

const BODY_BYTES: usize = 5_000_000;
/// An isolate has 128 MB. The process has, besides, what workerd itself needs and what its sockets hold.
const GROWTH_MAX_BYTES: u64 = 384 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(120);

/// How many at once. Each is sent by this process too, so the short form is what it takes to pass the budget.
fn callers() -> usize {
    if std::env::var_os("AG_DEEP").is_some() { 1_000 } else { 60 }
}

#[tokio::test]
async fn e26_bodies_of_5_mb_at_once_are_served_or_503_and_memory_stays_bounded() -> Result<()> {
    let bed: &'static Bed = Box::leak(Box::new(Bed::start(Options::default()).await?));
    let stage = Stage::new(bed, json!({})).await?;
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    let image = format!("data:image/png;base64,{}", "A".repeat(BODY_BYTES));
    let input = json!([{"role": "user", "content": [{"type": "input_image", "image_url": image}]}]);
    // One copy for all: what is measured is the edge's memory.
    let body: &'static str = json!({"model": stage.caller.name, "input": input}).to_string().leak();
    let before = resident_bytes(bed)?;
    let mut tasks = JoinSet::new();
    for _ in 0..callers() {
        let caller = stage.caller.clone();
        tasks.spawn(async move {
            tokio::time::timeout(PATIENCE, outcome(&caller, body)).await.context("stalled")?
        });
    }
    let (mut served, mut refused, mut most) = (0, 0, before);
    while let Some(outcome) = tasks.join_next().await {
        match outcome?? {
            (200, _) => served += 1,
            (503, code) if code == "overloaded" => refused += 1,
            other => anyhow::bail!("{other:?}"),
        }
        most = most.max(resident_bytes(bed)?);
    }
    println!("{served} served, {refused} refused, {} MB more", (most - before) / 1_000_000);
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
    assert!(most - before < GROWTH_MAX_BYTES, "{} MB more", (most - before) / 1_000_000);
    let large = stage.calls().requests().iter().filter(|seen| seen.body_bytes > BODY_BYTES).count();
    assert_eq!(large, served, "what is refused never reaches the provider");
    // The budget is given back whole.
    for _ in 0..10 {
        assert_eq!(outcome(&stage.caller, body).await?.0, 200);
    }
    Ok(())
}

async fn outcome(caller: &Caller, body: &'static str) -> Result<(u16, String)> {
    let head = Raw::request(caller, &format!("content-length: {}\r\n", body.len()), "");
    let mut raw = Raw::connect(&caller.edge_url).await?;
    raw.send(head.as_bytes()).await?;
    // Who is refused is refused before the body has been read: the rest of it meets a closed end.
    let _ = raw.send(body.as_bytes()).await;
    let answer = raw.answer().await?;
    Ok((answer.status, answer.code()))
}
