//! Faults of the provider (E09–E13, E22) on every kind of target: one terminal event, one settlement.

use std::time::Duration;

use alphagate_bed::provider::Counts;
use alphagate_tests::{Raw, read_events};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::read::{read, says};
use crate::{MANNERS, Manner, PROTOCOLS, post, set, stage};

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn e09_e22_refusals_before_any_content_are_answers_with_their_status_and_cost_nothing() -> Result<()> {
    let refusals = [
        (json!({"refuse": "reset"}), 502, "upstream_unreachable"),
        (json!({"status": 500}), 502, "upstream_error"),
        (json!({"status": 503}), 503, "upstream_overloaded"),
        (json!({"status": 429, "retry_after": "7"}), 429, "upstream_rate_limited"),
        (json!({"status": 401}), 502, "upstream_auth"),
        (json!({"status": 400}), 400, "upstream_rejected"),
        (json!({"redirect": ""}), 502, "upstream_error"),
    ];
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for (knobs, status, code) in &refusals {
            set(&stage, knobs.clone())?;
            for manner in MANNERS {
                let answer = post(&stage, manner, says(manner, "x")).await?;
                assert_eq!(answer.status().as_u16(), *status, "{protocol} {manner:?} {knobs}");
                let retry_after = answer.headers().get("retry-after").map(|value| value.as_bytes().to_vec());
                assert!(*status != 429 || retry_after.as_deref() == Some(b"7"), "{protocol}");
                let body: Value = answer.json().await?;
                assert_eq!(body["error"]["code"], *code, "{protocol} {manner:?} {knobs}: {body}");
            }
        }
        set(&stage, json!({"text": "a"}))?;
        post(&stage, MANNERS[0], says(MANNERS[0], "x")).await?.error_for_status()?;
        assert_eq!(stage.usage(1).await?[0]["outcome"], "completed", "{protocol}");
    }
    Ok(())
}

/// Checks that a stream has ended, failed, as its caller's protocol says it.
pub fn failed(manner: Manner, body: &str, code: &str) {
    let events = read_events(body.as_bytes());
    assert_eq!(events.last().map(|event| event.data.as_str()), Some("[DONE]"), "{body}");
    let error = events.iter().rev().map(|event| event.json()).find(|data| !data["error"].is_null());
    assert_eq!(error.unwrap_or_default()["error"]["code"], code, "{body}");
    if !manner.chat {
        let failed = events[events.len() - 2].json();
        assert_eq!(
            (&failed["type"], &failed["response"]["status"]),
            (&json!("response.failed"), &json!("failed"))
        );
    }
}

#[tokio::test]
async fn e10_streams_that_break_off_anywhere_end_failed_and_are_settled_once() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for fault in ["truncate_after_events", "reset_after_events"] {
            for after in [0, 1, 2, 5] {
                // So long that no fault comes after the model has said that it is done.
                set(&stage, json!({"words": 40, fault: after}))?;
                for manner in MANNERS.into_iter().filter(|manner| manner.stream) {
                    let answer = post(&stage, manner, says(manner, "x")).await?;
                    assert_eq!(answer.status().as_u16(), 200, "{protocol} {manner:?} {fault} {after}");
                    failed(manner, &answer.text().await?, "upstream_incomplete");
                }
            }
        }
        set(&stage, json!({"text": "a"}))?;
        post(&stage, MANNERS[0], says(MANNERS[0], "x")).await?.error_for_status()?;
        let settled = async |outcome: &str| {
            alphagate_tests::until("the last event", PATIENCE, async || {
                let events = stage.org.admin.usage().await?;
                Ok(events.iter().any(|event| event["outcome"] == outcome).then_some(events))
            })
            .await
        };
        let events = settled("completed").await?;
        assert_eq!(events.iter().filter(|event| event["outcome"] == "completed").count(), 1, "{events:?}");
        assert!(events.len() <= 1 + 2 * 4 * 2, "more than one event for a stream: {events:?}");
    }
    Ok(())
}

#[tokio::test]
async fn e10_whole_answers_that_break_off_or_cannot_be_read_are_502() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for knobs in [
            json!({"truncate_after_events": 1}),
            json!({"reset_after_events": 1}),
            json!({"invalid_json": true}),
        ] {
            set(&stage, knobs.clone())?;
            for manner in MANNERS.into_iter().filter(|manner| !manner.stream) {
                let answer = post(&stage, manner, says(manner, "x")).await?;
                assert_eq!(answer.status().as_u16(), 502, "{protocol} {manner:?} {knobs}");
                assert_eq!(
                    answer.json::<Value>().await?["error"]["code"],
                    "upstream_incomplete",
                    "{protocol} {knobs}"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn e11_e12_e13_the_bytes_manners_change_nothing_in_what_is_read() -> Result<()> {
    let manners = [
        json!({"chunk_bytes": 1}),
        json!({"eol": "crlf"}),
        json!({"eol": "cr", "chunk_bytes": 3}),
        json!({"bom": true}),
        json!({"comments": true}),
        json!({"no_final_blank_line": true, "done_marker": false}),
        json!({"gzip": true}),
    ];
    let text = "The café’s last cup —\nsplash! 🌸 風";
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for knobs in &manners {
            let mut knobs = knobs.clone();
            knobs["text"] = json!(text);
            set(&stage, knobs.clone())?;
            for manner in MANNERS.into_iter().filter(|manner| manner.stream) {
                let body = post(&stage, manner, says(manner, "x")).await?.error_for_status()?.text().await?;
                let answer =
                    read(manner, &body).with_context(|| format!("{protocol} {manner:?} {knobs}: {body}"))?;
                assert_eq!(answer.text, text, "{protocol} {manner:?} {knobs}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn e15_a_caller_who_leaves_ends_the_providers_call_and_is_settled_once() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        set(&stage, json!({"words": 1_000, "delay_event_ms": 50}))?;
        let body = json!({"model": stage.caller.name, "input": "x", "stream": true});
        let mut raw = Raw::call(&stage.caller, &body.to_string()).await?;
        raw.read_until("output_text.delta").await?;
        raw.reset()?;
        stage.calls().wait_until(|now: &Counts| now.aborted > 0, PATIENCE).await?;
        let events = stage.usage(1).await?;
        assert_eq!(events[0]["outcome"], "aborted", "{protocol}: {events:?}");
    }
    Ok(())
}
