//! Silence (E14): comments at boundaries, nothing within an event, and a deadline.

use std::time::{Duration, Instant};

use alphagate_bed::{
    Bed,
    provider::{Counts, Knobs},
};
use alphagate_tests::{Raw, Stage, read_events};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{KEEP_ALIVE_MS, SILENCE_MAX_MS, given_up, impatient, kinds};

const COMMENT: &str = ": keep-alive\n\n";
const PATIENCE: Duration = Duration::from_secs(10);

/// The stream as text, with its comments counted, and without them.
async fn listen(stage: &Stage, knobs: Value) -> Result<(String, usize, String)> {
    let text = String::from_utf8(stage.caller.stream_bytes(knobs).await?)?;
    let comments = text.matches(COMMENT).count();
    let without = text.replace(COMMENT, "");
    Ok((text, comments, without))
}

/// Comments that fit into the deadline, give or take what a loaded machine makes of a timer.
fn assert_filled(comments: usize) {
    let most = (SILENCE_MAX_MS / KEEP_ALIVE_MS) as usize;
    assert!((most / 2..=most).contains(&comments), "{comments} comments, {most} fit");
}

#[tokio::test]
async fn e14_silence_at_a_boundary_is_filled_with_comments_until_the_deadline() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    for chunk_bytes in [1, 1_000_000] {
        let knobs = json!({"silent_after_events": 6, "chunk_bytes": chunk_bytes, "words": 9});
        let (text, comments, without) = listen(&stage, knobs).await?;
        assert_filled(comments);
        assert!(text.contains(&COMMENT.repeat(comments)), "all in the one silence: {text}");
        let events = read_events(without.as_bytes());
        assert_eq!(given_up(&events, "upstream_timeout").len(), 6);
    }
    let events = stage.usage(2).await?;
    assert!(events.iter().all(|event| event["outcome"] == "failed"), "{events:?}");
    Ok(())
}

#[tokio::test]
async fn e14_by_default_a_comment_comes_every_fifteen_seconds() -> Result<()> {
    // Nothing but time shortens this one.
    if std::env::var_os("AG_DEEP").is_none() {
        return Ok(());
    }
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let (_, comments, without) = listen(&stage, json!({"text": "a", "delay_headers_ms": 50_000})).await?;
    assert_eq!(comments, 3);
    assert!(without.contains("response.completed"));
    Ok(())
}

#[tokio::test]
async fn e14_nothing_is_written_into_an_event_and_the_deadline_ends_it() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    for (chunk_bytes, eol) in [(1, "crlf"), (1_000_000, "lf")] {
        let knobs = json!({"silent_mid_line": 6, "chunk_bytes": chunk_bytes, "eol": eol, "words": 9});
        let start = Instant::now();
        let (_, comments, without) = listen(&stage, knobs).await?;
        ensure!(start.elapsed() >= Duration::from_millis(SILENCE_MAX_MS), "too early: {:?}", start.elapsed());
        assert_eq!(comments, 0, "{without}");
        assert_eq!(given_up(&read_events(without.as_bytes()), "upstream_timeout").len(), 6);
    }
    Ok(())
}

#[tokio::test]
async fn e14_silence_before_the_headers_is_filled_and_the_answer_follows_whole() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    let quick = kinds(&stage.caller.stream(json!({"text": "a b c"})).await?);
    let (text, comments, without) = listen(&stage, json!({"text": "a b c", "delay_headers_ms": 900})).await?;
    // The first goes out with the status, after one keep-alive.
    assert!((2..=4).contains(&comments), "{comments} comments in 900 ms");
    assert!(text.starts_with(&COMMENT.repeat(comments)), "{text}");
    assert_eq!(kinds(&read_events(without.as_bytes())), quick);
    Ok(())
}

#[tokio::test]
async fn e14_slow_events_of_one_byte_chunks_get_comments_only_in_between() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    for eol in ["lf", "crlf", "cr"] {
        let knobs = json!({"text": "a b", "delay_event_ms": 300, "chunk_bytes": 1, "eol": eol});
        let (_, comments, without) = listen(&stage, knobs).await?;
        assert!(comments >= 5, "{comments} comments with {eol}");
        let quick = kinds(&stage.caller.stream(json!({"text": "a b"})).await?);
        assert_eq!(kinds(&read_events(without.as_bytes())), quick, "{eol}");
    }
    Ok(())
}

#[tokio::test]
async fn e14_a_provider_that_never_answers_is_given_up_in_both_modes_and_costs_nothing() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    let quota =
        json!([{"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 1}}]);
    stage.org.admin.put_quotas(&quota).await?;
    let (_, comments, without) = listen(&stage, json!({"wait_for_release": true})).await?;
    assert_filled(comments);
    assert_eq!(given_up(&read_events(without.as_bytes()), "upstream_timeout").len(), 1);
    stage.calls().wait_until(|counts: &Counts| counts.aborted == 1, PATIENCE).await?;

    let late = alphagate_tests::until("quota given back", PATIENCE, async || {
        let (status, body) = stage.caller.ask(json!({"wait_for_release": true})).await?;
        Ok((status != 429).then_some((status, body)))
    });
    let (status, body) = late.await?;
    assert_eq!((status, &body["error"]["code"]), (504, &json!("upstream_timeout")));
    stage.calls().wait_until(|counts: &Counts| counts.aborted == 2, PATIENCE).await?;
    assert_eq!(stage.org.admin.usage().await?.len(), 0, "nothing was used");
    Ok(())
}

#[tokio::test]
async fn a_provider_that_never_ends_is_cut_off_at_the_total() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    let events = stage.caller.stream(json!({"words": 10_000, "delay_event_ms": 20})).await?;
    assert!(given_up(&events, "upstream_timeout").len() > 20);
    stage.calls().wait_until(|counts: &Counts| counts.aborted == 1, PATIENCE).await?;
    let (status, body) = stage.caller.ask(json!({"silent_after_events": 1})).await?;
    assert_eq!((status, &body["error"]["code"]), (504, &json!("upstream_timeout")));
    Ok(())
}

#[tokio::test]
async fn a_caller_who_stops_reading_is_given_up_and_settled() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    // More than all buffers on the way hold.
    let text = format!("{} ", "x".repeat(100_000)).repeat(80);
    stage.bed.provider().set_model(&stage.model, Knobs { text: Some(text), ..Knobs::default() });
    let body = json!({"model": stage.caller.name, "input": "x", "stream": true});
    let mut raw = Raw::call(&stage.caller, &body.to_string()).await?;
    raw.read_until("response.created").await?;
    assert_eq!(stage.usage(1).await?[0]["outcome"], "failed");
    let gone = |counts: &Counts| counts.aborted == 1;
    stage.calls().wait_until(gone, PATIENCE).await?;
    raw.close();
    Ok(())
}

#[tokio::test]
async fn e15_a_caller_who_closes_in_a_silence_is_noticed_by_the_next_comment() -> Result<()> {
    let stage = Stage::new(impatient().await?, json!({})).await?;
    let knobs = json!({"silent_after_events": 5, "words": 9});
    let body = json!({"model": stage.caller.name, "input": "x", "stream": true, "x_fake": knobs});
    let mut raw = Raw::call(&stage.caller, &body.to_string()).await?;
    raw.read_until("output_text.delta").await?;
    raw.close();
    // The first comment meets a closed end, whose answer is seen before the second.
    let two_comments = Duration::from_millis(3 * KEEP_ALIVE_MS);
    stage.calls().wait_until(|counts: &Counts| counts.aborted == 1, two_comments).await?;
    assert_eq!(stage.usage(1).await?[0]["outcome"], "aborted");
    Ok(())
}
