//! Ends that the provider leaves out (E09, E10): the caller always reads a terminal event, and pays once.

use std::time::Duration;

use alphagate_bed::Bed;
use alphagate_tests::{Caller, Stage, until};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{given_up, impatient, kinds};

const PATIENCE: Duration = Duration::from_secs(10);
/// Events of the fake provider before the first that brings content.
const PREAMBLE: usize = 4;

#[tokio::test]
async fn e10_an_early_end_at_any_place_becomes_error_and_failed_and_is_settled_once() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let whole = kinds(&stage.caller.stream(json!({"text": "a b"})).await?);
    for after in 0..whole.len() {
        let events = stage.caller.stream(json!({"text": "a b", "truncate_after_events": after})).await?;
        let before = given_up(&events, "upstream_incomplete");
        // Before the first event there is a `created` of our own.
        assert_eq!(kinds(before), whole[..after.max(1)], "after {after}");
    }
    // What has brought content is charged, at the estimate; the whole one as it was.
    let contents = whole.len() - PREAMBLE;
    let events = stage.usage(contents).await?;
    let outcomes = |outcome| events.iter().filter(|event| event["outcome"] == outcome).count();
    assert_eq!((outcomes("failed"), outcomes("completed")), (contents - 1, 1), "{events:?}");
    Ok(())
}

#[tokio::test]
async fn e10_a_reset_at_any_place_becomes_error_and_failed() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let whole = kinds(&stage.caller.stream(json!({"text": "a b"})).await?);
    for after in 0..whole.len() {
        let events = stage.caller.stream(json!({"text": "a b", "reset_after_events": after})).await?;
        let before = given_up(&events, "upstream_incomplete");
        // A reset may overtake what was sent just before it.
        assert!(kinds(before).len() <= after.max(1), "after {after}: {:?}", kinds(before));
        assert_eq!(kinds(before), whole[..before.len()]);
    }
    Ok(())
}

#[tokio::test]
async fn e10_what_follows_the_terminal_event_changes_nothing() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let whole = kinds(&stage.caller.stream(json!({"text": "a b"})).await?);
    for fault in ["silent_after_events", "truncate_after_events", "hold_after_events"] {
        let events = stage.caller.stream(json!({"text": "a b", fault: whole.len()})).await?;
        assert_eq!(kinds(&events), whole, "{fault}");
    }
    let events = stage.usage(4).await?;
    assert!(events.iter().all(|event| event["outcome"] == "completed"), "{events:?}");
    Ok(())
}

#[tokio::test]
async fn e10_an_error_that_ends_early_gets_the_failed_event_that_it_lacks() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let whole = kinds(&stage.caller.stream(json!({"text": "a b", "terminal": "failed"})).await?);
    assert_eq!(whole[whole.len() - 2..], ["error", "response.failed"]);
    let knobs = json!({"text": "a b", "terminal": "failed", "truncate_after_events": whole.len() - 1});
    let events = stage.caller.stream(knobs).await?;
    let (last, before) = events.split_last().context("no events")?;
    assert_eq!((kinds(before), last.data.as_str()), (whole, "[DONE]"), "one error, not two");
    Ok(())
}

#[tokio::test]
async fn e10_without_a_stream_an_early_end_is_502_and_settled_once() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    for fault in ["truncate_after_events", "reset_after_events"] {
        let (status, body) = stage.caller.ask(json!({fault: 1})).await?;
        assert_eq!((status, &body["error"]["code"]), (502, &json!("upstream_incomplete")), "{fault}");
    }
    let (status, body) = stage.caller.ask(json!({"invalid_json": true})).await?;
    assert_eq!((status, &body["error"]["code"]), (502, &json!("upstream_incomplete")));
    let events = stage.usage(3).await?;
    assert!(events.iter().all(|event| event["outcome"] == "failed"), "{events:?}");
    Ok(())
}

/// Faults before any byte, and what the caller reads of them: status, and code in either mode.
fn refusals() -> Vec<(Value, u16, &'static str)> {
    vec![
        (json!({"refuse": "reset"}), 502, "upstream_unreachable"),
        (json!({"refuse": "close"}), 502, "upstream_unreachable"),
        (json!({"status": 500}), 502, "upstream_error"),
        (json!({"status": 503}), 503, "upstream_overloaded"),
        (json!({"status": 429}), 429, "upstream_rate_limited"),
        (json!({"status": 401}), 502, "upstream_auth"),
        (json!({"status": 400}), 400, "upstream_rejected"),
        (json!({"redirect": ""}), 502, "upstream_error"),
    ]
}

#[tokio::test]
async fn e09_a_refusal_before_the_headers_is_an_answer_with_its_status_and_costs_nothing() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    one_request(&stage).await?;
    for (knobs, status, code) in refusals() {
        for stream in [true, false] {
            let answer = not_over_quota(&stage.caller, json!({"stream": stream, "x_fake": knobs})).await?;
            assert_eq!(answer.status().as_u16(), status, "{knobs}");
            let body: Value = answer.json().await?;
            assert_eq!(body["error"]["code"], code, "{knobs}: {body}");
        }
    }
    assert_eq!(not_over_quota(&stage.caller, json!({})).await?.status().as_u16(), 200);
    assert_eq!(stage.usage(1).await?[0]["outcome"], "completed");
    Ok(())
}

#[tokio::test]
async fn e09_a_refusal_after_keep_alives_is_created_error_failed_and_costs_nothing() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    one_request(&stage).await?;
    for (mut knobs, _, code) in refusals() {
        knobs["delay_headers_ms"] = json!(500);
        let answer = not_over_quota(&stage.caller, json!({"stream": true, "x_fake": knobs})).await?;
        assert_eq!(answer.status().as_u16(), 200, "the status was committed: {knobs}");
        let bytes = answer.bytes().await?;
        assert!(bytes.starts_with(b": keep-alive\n\n"), "{knobs}");
        let events = alphagate_tests::read_events(&bytes);
        assert_eq!(kinds(given_up(&events, code)), ["response.created"], "{knobs}");
        assert_eq!(events[0].json()["response"]["model"], stage.caller.name.as_str());
    }
    assert_eq!(not_over_quota(&stage.caller, json!({})).await?.status().as_u16(), 200);
    assert_eq!(stage.usage(1).await?[0]["outcome"], "completed");
    Ok(())
}

async fn one_request(stage: &Stage) -> Result<()> {
    let quota =
        json!([{"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 1}}]);
    stage.org.admin.put_quotas(&quota).await.map(drop)
}

/// Quota is given back right after the answer; asks until it is there.
async fn not_over_quota(caller: &Caller, call: Value) -> Result<reqwest::Response> {
    until("quota given back", PATIENCE, async || {
        let answer = caller.post(call.clone()).await?;
        let ours = answer.status().as_u16() == 429
            && answer.headers().get("x-should-retry").is_some_and(|v| v == "false");
        Ok((!ours).then_some(answer))
    })
    .await
    .with_context(|| call.to_string())
}
