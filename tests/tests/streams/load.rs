//! Many streams and plain requests interleaved on one isolate, a fifth of them left by their callers: nobody waits
//! for ever, nobody reads what is another's, and everything is settled.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use alphagate_bed::{Bed, Options};
use alphagate_tests::{Caller, Raw, Stage, read_events, until};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

const STREAMS: usize = 200;
const PLAIN: usize = 200;
/// One call in so many is left by its caller.
const LEFT_EVERY: usize = 5;
/// A call takes half a second when the machine is idle; a wake-up that is lost takes for ever.
const CALL_MAX: Duration = Duration::from_secs(30);
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// What workerd, the shim and the edge write when a request has touched another one's, or a future was lost.
const FAULTS: [&str; 7] = [
    "different request",
    "Cannot perform I/O",
    "will never generate a response",
    "instance died",
    "was lost",
    "no answer in",
    "RuntimeError",
];

fn length() -> Duration {
    Duration::from_secs(if std::env::var_os("AG_DEEP").is_some() { 60 } else { 8 })
}

/// What came of one lane's calls.
#[derive(Default)]
struct Lane {
    sent: usize,
    served: Vec<String>,
}

#[tokio::test]
async fn two_hundred_streams_and_plain_requests_interleaved_neither_stall_nor_mix_nor_leak() -> Result<()> {
    let bed: &'static Bed = Box::leak(Box::new(Bed::start(Options::default()).await?));
    let stage = Stage::new(bed, json!({"instructions": "Hidden."})).await?;
    cap_concurrency(&stage, 100_000).await?;
    let end = Instant::now() + length();
    let mut lanes = JoinSet::new();
    for number in 0..STREAMS + PLAIN {
        let caller = stage.caller.clone();
        lanes
            .spawn(async move { lane(&caller, number, end).await.with_context(|| format!("lane {number}")) });
    }
    let lanes = lanes.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    let sent: usize = lanes.iter().map(|lane| lane.sent).sum();
    let served: HashSet<String> = lanes.into_iter().flat_map(|lane| lane.served).collect();
    println!("{sent} calls, {} served", served.len());
    stage.calls().wait_until(|counts| counts.in_flight == 0, SETTLE_MAX).await?;
    assert_settled_once(&stage, &served, sent).await?;
    assert_none_held(&stage).await?;
    let log = bed.log("edge");
    let faults: Vec<&str> =
        log.lines().filter(|line| FAULTS.iter().any(|fault| line.contains(fault))).collect();
    assert!(faults.is_empty(), "{} faults, first {:?}", faults.len(), faults.first());
    Ok(())
}

async fn lane(caller: &Caller, number: usize, end: Instant) -> Result<Lane> {
    let mut lane = Lane::default();
    while Instant::now() < end {
        let call = lane.sent;
        lane.sent += 1;
        let text = format!("lane {number} call {call} says 風 déjà 🌸 vu");
        let stream = number < STREAMS;
        let knobs = json!({"text": text, "delay_event_ms": 20, "delay_headers_ms": number % 100});
        let body = json!({"model": caller.name, "input": "x", "stream": stream, "x_fake": knobs}).to_string();
        if (number + call).is_multiple_of(LEFT_EVERY) {
            leave(caller, &body, number).await?;
            continue;
        }
        let served = timeout(CALL_MAX, whole(caller, body, stream, &text)).await;
        lane.served.push(served.with_context(|| format!("call {call} has stalled"))??);
    }
    Ok(lane)
}

/// A call to its end; answers its id.
async fn whole(caller: &Caller, body: String, stream: bool, text: &str) -> Result<String> {
    let response = caller.post_bytes(body.into_bytes()).await?;
    let id = response.headers().get("x-request-id").context("no x-request-id")?.to_str()?.to_owned();
    let (status, bytes) = (response.status(), response.bytes().await?);
    ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&bytes));
    let read = if stream {
        let events = read_events(&bytes);
        let last = events.last().context("no events")?;
        ensure!(last.name == "response.completed", "the stream ended with {last:?}");
        events.iter().filter_map(|event| event.json()["delta"].as_str().map(str::to_owned)).collect()
    } else {
        let body: Value = serde_json::from_slice(&bytes)?;
        body["output"][0]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    };
    ensure!(read == text, "{read:?} instead of {text:?}");
    Ok(id)
}

/// A call that is left at some moment: before its headers, within its events.
async fn leave(caller: &Caller, body: &str, number: usize) -> Result<()> {
    let raw = Raw::call(caller, body).await?;
    tokio::time::sleep(Duration::from_millis((number * 7 % 200) as u64)).await;
    raw.reset()
}

/// Every call that was served has one event; one that was left has one or, if it never reached the provider, none.
async fn assert_settled_once(stage: &Stage, served: &HashSet<String>, sent: usize) -> Result<()> {
    let started = stage.calls().counts().started as usize;
    let events = until("usage events of all that was served", SETTLE_MAX, async || {
        let events = stage.org.admin.usage().await?;
        let ids: HashSet<&str> = events.iter().filter_map(|event| event["id"].as_str()).collect();
        ensure!(ids.len() == events.len(), "an event is there twice");
        let all = served.iter().all(|id| ids.contains(id.as_str())) && ids.len() >= started;
        Ok(all.then_some(events))
    });
    let events = events.await?;
    ensure!(events.len() <= sent, "{} events of {sent} calls", events.len());
    for event in events {
        let outcome = event["outcome"].as_str().unwrap_or_default();
        let right = if served.contains(event["id"].as_str().unwrap_or_default()) {
            outcome == "completed"
        } else {
            ["aborted", "completed"].contains(&outcome)
        };
        ensure!(right, "{event}");
    }
    Ok(())
}

async fn cap_concurrency(stage: &Stage, cap: u64) -> Result<()> {
    let quota = json!([{"subject": {"kind": "org"}, "limit": {"concurrency": cap}}]);
    stage.org.admin.put_quotas(&quota).await.map(drop)
}

/// A quota of so many calls at once admits exactly so many: no reservation was left behind.
async fn assert_none_held(stage: &Stage) -> Result<()> {
    const CAP: usize = 20;
    cap_concurrency(stage, CAP as u64).await?;
    let mut held = JoinSet::new();
    for _ in 0..CAP {
        let caller = stage.caller.clone();
        held.spawn(async move { caller.ask(json!({"wait_for_release": true})).await });
    }
    stage.calls().wait_until(|counts| counts.held == CAP as u64, SETTLE_MAX).await?;
    let (status, body) = stage.caller.ask(json!({})).await?;
    ensure!(body["error"]["code"] == "concurrency_exceeded", "{status}: {body}");
    stage.bed.provider().release();
    for answer in held.join_all().await {
        ensure!(answer?.0 == 200, "one that was held did not end well");
    }
    Ok(())
}
