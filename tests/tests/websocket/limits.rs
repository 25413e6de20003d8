//! What a connection refuses, how long it lasts, and how much is held of it.

use std::time::Instant;

use alphagate_bed::{Bed, Options};
use alphagate_tests::Stage;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_tungstenite::tungstenite::Message;

use super::socket::{Socket, kinds, what};
use crate::stage;

/// So long a connection lasts in the test of just that.
const AGE_MAX_MS: u64 = 3_000;
const BODY_MAX_BYTES: usize = 200_000;
/// A quarter of it, 100 kB, is for what connections remember.
const BUDGET_BYTES: usize = 400_000;

async fn small() -> Result<&'static Bed> {
    static BED: OnceCell<Bed> = OnceCell::const_new();
    let options = Options::default()
        .edge_var("AG_BODY_MAX_BYTES", BODY_MAX_BYTES)
        .edge_var("AG_BUFFER_BUDGET_BYTES", BUDGET_BYTES);
    BED.get_or_try_init(|| Bed::start(options)).await
}

#[tokio::test]
async fn a_connection_needs_a_key_and_an_upgrade() -> Result<()> {
    let stage = stage(json!({})).await?;
    for key in [None, Some("ag_live_nonsense")] {
        let refused = Socket::try_open(&stage.caller.edge_url, key).await?.err().context("it was opened")?;
        assert_eq!(refused, 401, "{key:?}");
    }
    let url = format!("{}/v1/responses", stage.caller.edge_url);
    let plain = stage.caller.http.get(url).bearer_auth(&stage.caller.key.secret).send().await?;
    assert_eq!(plain.status(), 405);
    Ok(())
}

#[tokio::test]
async fn what_is_no_turn_is_refused_and_the_connection_lives() -> Result<()> {
    let stage = Stage::new(small().await?, json!({})).await?;
    let mut socket = Socket::open(&stage.caller).await?;
    let long = format!("{{\"type\":\"response.create\",\"input\":\"{}\"}}", "x".repeat(BODY_MAX_BYTES));
    let wrong = [
        (Message::text("nonsense"), 400, "body_malformed"),
        (Message::text("[1]"), 400, "invalid_parameter"),
        (Message::text(r#"{"type":"response.cancel"}"#), 400, "invalid_parameter"),
        (Message::text(r#"{"type":"response.create"}"#), 400, "missing_required_parameter"),
        (Message::text(r#"{"type":"response.create","background":true}"#), 400, "unsupported_parameter"),
        (Message::text(r#"{"type":"response.create","model":"nobody"}"#), 404, "model_not_found"),
        (Message::binary(vec![0_u8, 159, 146, 150]), 400, "request_malformed"),
        (Message::text(long), 413, "body_too_large"),
    ];
    for (message, status, code) in wrong {
        let name = format!("{message:.40}");
        socket.send(message).await?;
        let frames = socket.turn().await?;
        assert_eq!(frames.len(), 1, "{name}");
        assert_eq!(what(&frames[0]), (status, code.to_owned()), "{name}");
        for field in ["message", "headers", "sequence_number"] {
            assert!(!frames[0][field].is_null(), "{name}: {field}");
        }
    }
    assert_eq!(stage.calls().counts().started, 0);
    socket.completed(&stage.caller, json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn messages_are_worked_off_one_after_the_other_and_no_more_wait_than_may() -> Result<()> {
    let stage = stage(json!({})).await?;
    let (bed, caller) = (stage.bed, &stage.caller);
    let mut socket = Socket::open(caller).await?;
    socket.ask(caller, json!({"x_fake": {"text": "first", "hold_after_events": 4}})).await?;
    let mut frames = vec![socket.next().await?.context("closed")?];
    for _ in 0..8 {
        socket.ask(caller, json!({"x_fake": {"text": "next"}})).await?;
    }
    // That the ninth is refused says that the eight before it have come, and wait.
    socket.ask(caller, json!({})).await?;
    let refused = loop {
        let frame = socket.next().await?.context("closed")?;
        if frame["type"] == "error" {
            break frame;
        }
        frames.push(frame);
    };
    assert_eq!(what(&refused), (429, "concurrency_exceeded".to_owned()));
    assert_eq!(stage.calls().counts().started, 1);
    bed.provider().release();
    frames.extend(socket.turn().await?);
    assert_eq!(kinds(&frames).last(), Some(&"response.completed"));
    for _ in 0..8 {
        let frames = socket.turn().await?;
        assert_eq!(kinds(&frames).first(), Some(&"response.created"));
        assert!(frames.last().is_some_and(|last| last.to_string().contains("next")));
    }
    assert_eq!(stage.calls().counts().started, 9);
    Ok(())
}

#[tokio::test]
async fn a_connection_has_its_time_and_the_response_under_way_is_its_last() -> Result<()> {
    let options = Options::default().edge_var("AG_SOCKET_MAX_MS", AGE_MAX_MS);
    let bed: &'static Bed = Box::leak(Box::new(Bed::start(options).await?));
    let stage = Stage::new(bed, json!({})).await?;
    let (mut idle, mut busy) = (Socket::open(&stage.caller).await?, Socket::open(&stage.caller).await?);
    let opened = Instant::now();
    busy.ask(&stage.caller, json!({"x_fake": {"words": 40, "delay_event_ms": 120}})).await?;
    let last = idle.next().await?.context("closed without a word")?;
    assert_eq!(what(&last), (400, "websocket_connection_limit_reached".to_owned()));
    assert!(idle.next().await?.is_none(), "it is not closed");
    let frames = busy.turn().await?;
    assert_eq!(kinds(&frames).last(), Some(&"response.completed"));
    assert!(opened.elapsed().as_millis() > u128::from(AGE_MAX_MS), "it ended before its time");
    let last = busy.next().await?.context("closed without a word")?;
    assert_eq!(what(&last), (400, "websocket_connection_limit_reached".to_owned()));
    assert!(busy.next().await?.is_none(), "it is not closed");
    Ok(())
}

#[tokio::test]
async fn what_is_remembered_is_bounded_for_one_and_for_all() -> Result<()> {
    let stage = Stage::new(small().await?, json!({})).await?;
    let caller = &stage.caller;
    let said = |bytes: usize| json!({"store": false, "input": "x".repeat(bytes), "x_fake": {"text": "y"}});
    let next = |one: &Value| json!({"store": false, "previous_response_id": one["id"], "input": "Go on."});
    let mut first = Socket::open(caller).await?;
    let one = first.completed(caller, said(120_000)).await?;
    let gone = (400, "previous_response_not_found".to_owned());
    assert_eq!(first.refused(caller, next(&one)).await?, gone, "more than all may take");
    let one = first.completed(caller, said(60_000)).await?;
    let one = first.completed(caller, next(&one)).await?;
    let mut second = Socket::open(caller).await?;
    let two = second.completed(caller, said(60_000)).await?;
    assert_eq!(first.refused(caller, next(&one)).await?, gone, "the one used longest ago makes room");
    second.completed(caller, next(&two)).await?;
    // What is remembered takes no room from requests beyond its share.
    caller.post(json!({"input": "x".repeat(190_000)})).await?.error_for_status()?;
    Ok(())
}
