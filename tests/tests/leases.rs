//! Leased mode: what it saves, and what becomes of leases when something is lost. That quotas and revocations hold in
//! it is tested where they are, in both modes: `quota.rs`, `publish.rs`, `outage.rs`, `faults_edge.rs`.

use std::{collections::HashSet, time::Duration};

use alphagate_bed::{Bed, Options};
use alphagate_contract::quota::lease::LEASE_REQUESTS_MAX;
use alphagate_tests::{Mode, Stage, until};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const OBJECT_TIMEOUT_MS: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

async fn own_bed(options: Options) -> Result<&'static Bed> {
    Ok(Box::leak(Box::new(Bed::start(options).await?)))
}

async fn leased(bed: &'static Bed) -> Result<Stage> {
    Stage::new(bed, Mode::Leased.config(json!({}))).await
}

async fn allow(stage: &Stage, cap: u64) -> Result<()> {
    let limit = json!({"unit": "requests", "window": "hour", "cap": cap});
    stage.org.admin.put_quotas(&json!([{"subject": {"kind": "org"}, "limit": limit}])).await?;
    Ok(())
}

#[tokio::test]
async fn most_requests_ask_no_object_and_each_is_in_the_ledger_once() -> Result<()> {
    const REQUESTS: u64 = 200;
    const CAP: u64 = 100_000;
    let bed = own_bed(Options::default().with_knobs()).await?;
    let stage = leased(bed).await?;
    allow(&stage, CAP).await?;
    let before = bed.edge_counts().await?.object_calls;
    let mut ids = HashSet::new();
    for n in 1..=REQUESTS {
        let answer = stage.caller.post(json!({})).await?.error_for_status()?;
        let header = |name| anyhow::Ok(answer.headers().get(name).context("no header")?.to_str()?.to_owned());
        ids.insert(header("x-request-id")?);
        let remaining: u64 = header("x-ratelimit-remaining-requests")?.parse()?;
        assert!(remaining <= CAP - n, "{remaining} after {n}");
        assert_eq!(header("x-ratelimit-limit-requests")?, CAP.to_string());
    }
    // Strict mode asks twice for each: to reserve and to settle.
    let calls = bed.edge_counts().await?.object_calls - before;
    assert!(calls < REQUESTS / 2, "{calls} calls for {REQUESTS} requests");
    let events = stage.usage(REQUESTS as usize).await?;
    let seen: HashSet<String> = events.iter().filter_map(|e| Some(e["id"].as_str()?.to_owned())).collect();
    assert_eq!(seen, ids);
    assert!(events.iter().all(|event| event["outcome"] == "completed" && event["requests"] == 1));
    Ok(())
}

#[tokio::test]
async fn an_object_that_is_evicted_between_grant_and_return_knows_its_leases() -> Result<()> {
    const CAP: u64 = 200;
    let stage = leased(Bed::shared().await?).await?;
    allow(&stage, CAP).await?;
    let mut served = 0;
    for _ in 0..3 {
        stage.caller.call_often().await?;
        served += 12;
        stage.bed.abort_object(&stage.org.id).await?;
    }
    served += stage.caller.use_up().await?;
    assert_eq!(served, CAP);
    stage.usage(CAP as usize).await?;
    Ok(())
}

#[tokio::test]
async fn e25_a_lease_that_landed_after_its_time_is_given_back() -> Result<()> {
    const CAP: u64 = 64;
    let bed =
        own_bed(Options::default().with_knobs().edge_var("AG_OBJECT_TIMEOUT_MS", OBJECT_TIMEOUT_MS)).await?;
    let stage = leased(bed).await?;
    allow(&stage, CAP).await?;
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    bed.delay_object_ms(OBJECT_TIMEOUT_MS + 500).await?;
    // The second call within a second asks for a lease, and does not learn that it was granted.
    assert_eq!(stage.caller.ask(json!({})).await?.0, 503);
    bed.delay_object_ms(0).await?;
    assert_eq!(stage.caller.use_up().await?, CAP - 1);
    Ok(())
}

#[tokio::test]
async fn e19_workerd_killed_charges_what_was_on_lease_and_loses_nothing() -> Result<()> {
    const RUNNING: u64 = 60;
    let bed = own_bed(Options::default().edge_var("AG_RESERVATION_TTL_MS", 3_000)).await?;
    let stage = leased(bed).await?;
    allow(&stage, 100_000).await?;
    stage.caller.call_often().await?;
    let served = stage.usage(12).await?.len();
    let mut running = JoinSet::new();
    for _ in 0..RUNNING {
        let caller = stage.caller.clone();
        running.spawn(async move { caller.ask(json!({"wait_for_release": true})).await });
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stage.calls().wait_until(|counts| counts.held == RUNNING, Duration::from_secs(20)).await?;
    bed.restart_edge().await?;
    assert!(running.join_all().await.iter().all(Result::is_err), "a killed workerd answers nobody");
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200, "the org's object is awake again");
    let orphaned = until("every lost request is charged", PATIENCE, async || {
        let events = stage.org.admin.usage().await?;
        let orphaned = requests(&events, "orphaned");
        let counted = events.len() > served && orphaned >= RUNNING;
        Ok(counted.then_some(orphaned))
    });
    // More than what ran is what was on lease: what is not returned is spent.
    assert!(orphaned.await? <= RUNNING + LEASE_REQUESTS_MAX);
    Ok(())
}

fn requests(events: &[Value], outcome: &str) -> u64 {
    let ended = events.iter().filter(|event| event["outcome"] == outcome);
    ended.filter_map(|event| event["requests"].as_u64()).sum()
}
