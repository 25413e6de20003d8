//! The table: how A fails, and what comes of it.

use alphagate_tests::read_events;
use anyhow::Result;
use serde_json::{Value, json};

use crate::{A_MAX_MS, Pair, bed};

/// One way to fail before any content.
struct Case {
    /// What A does.
    a: Value,
    /// Only streams can.
    only_stream: bool,
    /// The word for it.
    why: &'static str,
    /// How often A fails until its breaker opens.
    opens_after: usize,
}

fn cases() -> Vec<Case> {
    let case = |a, why, opens_after| Case { a, only_stream: false, why, opens_after };
    let streaming = |a, why| Case { a, only_stream: true, why, opens_after: 3 };
    vec![
        case(json!({"status": 500}), "status_500", 3),
        case(json!({"status": 503}), "status_503", 3),
        case(json!({"status": 408}), "status_408", 3),
        case(json!({"status": 429}), "status_429", 3),
        case(json!({"status": 429, "retry_after": "30"}), "status_429", 1),
        case(json!({"status": 401}), "status_401", 1),
        case(json!({"status": 403}), "status_403", 1),
        case(json!({"redirect": ""}), "status_307", 3),
        case(json!({"refuse": "reset"}), "unreachable", 3),
        case(json!({"refuse": "close"}), "unreachable", 3),
        case(json!({"delay_headers_ms": 10 * A_MAX_MS}), "timeout", 3),
        case(json!({"text": "", "terminal": "failed"}), "failed", 3),
        streaming(json!({"silent_after_events": 0}), "timeout"),
        streaming(json!({"silent_after_events": 4}), "timeout"),
        streaming(json!({"silent_mid_line": 4}), "timeout"),
        streaming(json!({"truncate_after_events": 0}), "cut_off"),
        streaming(json!({"truncate_after_events": 4}), "cut_off"),
        streaming(json!({"reset_after_events": 4}), "cut_off"),
        streaming(json!({"truncate_after_events": 4, "drop_event_lines": true, "chunk_bytes": 1}), "cut_off"),
    ]
}

#[tokio::test]
async fn a_target_that_fails_before_content_is_failed_over_costs_nothing_and_its_breaker_opens() -> Result<()>
{
    for case in cases() {
        let whole = async { if case.only_stream { Ok(()) } else { play(&case, false).await } };
        tokio::try_join!(play(&case, true), whole)?;
    }
    Ok(())
}

async fn play(case: &Case, stream: bool) -> Result<()> {
    let name = format!("{}, stream: {stream}", case.a);
    // Where it is not about time, a machine that stalls for a moment is no time-out.
    let target = if case.why == "timeout" { json!({}) } else { json!({"timeouts": {}}) };
    let pair = Pair::new(bed().await?, json!({}), target).await?;
    pair.manners(case.a.clone(), json!({})).await?;
    for number in 1..=case.opens_after {
        let heard = pair.ask(stream).await?;
        heard.assert_from('B', &name);
        assert_eq!(heard.attempts.as_deref(), Some(format!("2; 0={}", case.why).as_str()), "{name}");
        let event = pair.usage_of(&heard).await?;
        assert_eq!((&event["target"], &event["attempt"]), (&json!(1), &json!(2)), "{name}: {event}");
        assert_eq!(event["passed_over"], json!([format!("0={}", case.why)]), "{name}");
        assert_eq!((&event["input_tokens"], &event["outcome"]), (&json!(30), &json!("completed")), "{name}");
        assert_eq!(pair.org().admin.usage().await?.len(), number, "{name}: A costs nothing");
    }
    let called = pair.calls_of_a().counts().started;
    assert_eq!(called, case.opens_after as u64, "{name}");
    // Its breaker is open: B is asked at once.
    let heard = pair.ask(stream).await?;
    heard.assert_from('B', &name);
    assert_eq!(heard.attempts.as_deref(), Some("1; 0=breaker_open"), "{name}");
    assert_eq!(pair.calls_of_a().counts().started, called, "{name}: A was called");
    Ok(())
}

#[tokio::test]
async fn what_is_the_callers_fault_is_not_tried_anywhere_else() -> Result<()> {
    let pair = Pair::new(bed().await?, json!({"retries": 2}), json!({})).await?;
    pair.manners(json!({"status": 400}), json!({})).await?;
    for stream in [true, false] {
        let heard = pair.ask(stream).await?;
        assert_eq!((heard.status, heard.attempts.as_deref()), (400, Some("1; 0=status_400")), "{heard:?}");
        assert_eq!(heard.target, None);
    }
    assert_eq!(pair.calls_of_a().counts().started, 2);
    assert_eq!(pair.calls_of_b().await?.counts().started, 0);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_dies_in_its_content_is_not_failed_over_and_ends_with_error_and_failed() -> Result<()> {
    for (number, fault) in
        ["truncate_after_events", "reset_after_events", "silent_after_events"].iter().enumerate()
    {
        let pair = Pair::new(bed().await?, json!({}), json!({"timeouts": {"total_ms": 1_500}})).await?;
        pair.manners(json!({*fault: 6, "chunk_bytes": 1_000_000, "delay_event_ms": 20}), json!({})).await?;
        let heard = pair.ask(true).await?;
        assert_eq!((heard.status, heard.target.as_deref()), (200, Some("0")), "{fault}");
        let kinds: Vec<String> = read_events(heard.body.as_bytes())
            .iter()
            .map(|event| event.json()["type"].as_str().unwrap_or(&event.data).to_owned())
            .collect();
        assert!(kinds.iter().any(|kind| kind == "response.output_text.delta"), "{fault}: {kinds:?}");
        assert_eq!(kinds[kinds.len() - 3..], ["error", "response.failed", "[DONE]"], "{number} {fault}");
        assert_eq!(pair.calls_of_b().await?.counts().started, 0, "{fault}");
        let event = pair.usage_of(&heard).await?;
        assert_eq!((&event["outcome"], &event["estimated"]), (&json!("failed"), &json!(true)), "{fault}");
    }
    Ok(())
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_not_asked_for_again_and_is_charged() -> Result<()> {
    let pair = Pair::new(bed().await?, json!({}), json!({"timeouts": {}})).await?;
    pair.manners(json!({"truncate_after_events": 1}), json!({})).await?;
    let heard = pair.ask(false).await?;
    assert_eq!(heard.status, 502, "{heard:?}");
    assert_eq!(pair.calls_of_b().await?.counts().started, 0);
    assert_eq!(pair.usage_of(&heard).await?["outcome"], "failed");
    Ok(())
}

#[tokio::test]
async fn when_all_fail_the_last_failure_is_told_and_nothing_is_kept_of_the_quota() -> Result<()> {
    let pair = Pair::new(bed().await?, json!({}), json!({})).await?;
    let quota =
        json!([{"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 1}}]);
    pair.org().admin.put_quotas(&quota).await?;
    pair.manners(
        json!({"truncate_after_events": 2, "status": null}),
        json!({"status": 503, "retry_after": "7"}),
    )
    .await?;
    let heard = pair.ask(true).await?;
    assert_eq!((heard.status, heard.retry_after.as_deref()), (503, Some("7")), "{heard:?}");
    assert_eq!(heard.attempts.as_deref(), Some("2; 0=cut_off, 1=status_503"));
    pair.manners(json!({}), json!({})).await?;
    let answered =
        alphagate_tests::until("quota given back", std::time::Duration::from_secs(10), async || {
            let heard = pair.ask(true).await?;
            Ok((heard.status != 429).then_some(heard))
        });
    answered.await?.assert_from('A', "after both have failed once");
    Ok(())
}
