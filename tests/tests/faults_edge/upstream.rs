//! Providers that do what they were not asked to (E11, E22).

use alphagate_bed::Bed;
use alphagate_tests::{Raw, Stage, read_events};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::narrow;

const TEXT: &str = "Déjà vu: 風 🌸";

#[tokio::test]
async fn e11_an_answer_that_is_gzipped_uninvited_is_read_and_shown_plain() -> Result<()> {
    let stage = Stage::new(narrow().await?, json!({"instructions": "Hidden."})).await?;
    let cases = [
        (json!({"chunk_bytes": 1}), ""),
        (json!({"chunk_bytes": 1}), "accept-encoding: gzip\r\n"),
        (json!({}), "accept-encoding: gzip, br\r\n"),
        (json!({}), "accept-encoding: identity\r\n"),
        // Slow enough for comments, which must never lie within compressed bytes.
        (json!({"delay_event_ms": 250}), ""),
    ];
    for (manner, accepted) in cases {
        for stream in [true, false] {
            let text = gzipped_text(&stage, &manner, accepted, stream).await?;
            assert_eq!(text, TEXT, "{manner}, {accepted:?}, stream: {stream}");
        }
    }
    let seen = stage.calls().requests();
    assert!(seen.iter().all(|seen| seen.header("accept-encoding") == Some("identity")));
    Ok(())
}

async fn gzipped_text(stage: &Stage, manner: &Value, accepted: &str, stream: bool) -> Result<String> {
    let mut knobs = json!({"gzip": true, "text": TEXT});
    knobs.as_object_mut().context("no object")?.extend(manner.as_object().cloned().unwrap_or_default());
    let body =
        json!({"model": stage.caller.name, "input": "x", "stream": stream, "x_fake": knobs}).to_string();
    let lines = format!("content-length: {}\r\n{accepted}", body.len());
    let mut raw = Raw::connect(&stage.caller.edge_url).await?;
    raw.send(Raw::request(&stage.caller, &lines, &body).as_bytes()).await?;
    let answer = raw.answer().await?;
    ensure!(!answer.head.to_ascii_lowercase().contains("content-encoding"), "{}", answer.head);
    if !stream {
        return Ok(answer.json()["output"][0]["content"][0]["text"].as_str().unwrap_or_default().to_owned());
    }
    let comments = String::from_utf8_lossy(&answer.body).matches(": keep-alive\n\n").count();
    ensure!((comments > 0) == manner.get("delay_event_ms").is_some(), "{comments} comments");
    let events = read_events(&answer.body);
    Ok(events.iter().filter_map(|event| event.json()["delta"].as_str().map(str::to_owned)).collect())
}

#[tokio::test]
async fn e22_a_redirect_is_not_followed_wherever_it_leads() -> Result<()> {
    let bed = Bed::shared().await?;
    let stage = Stage::new(bed, json!({})).await?;
    let own = format!("{}/responses", bed.provider().base_url());
    let places = ["", own.as_str(), "http://169.254.169.254/latest/meta-data/", "/v1/responses"];
    for (number, place) in places.iter().enumerate() {
        for stream in [true, false] {
            let answer = stage.caller.post(json!({"stream": stream, "x_fake": {"redirect": place}})).await?;
            assert_eq!(answer.status().as_u16(), 502, "{place}");
            assert!(answer.headers().get("location").is_none());
            let text = answer.text().await?;
            assert!(text.contains("upstream_error") && !text.contains("169.254"), "{text}");
        }
        let started = stage.calls().counts().started;
        assert_eq!(started, 2 * (number as u64 + 1), "{place} was followed");
    }
    let path = stage.calls().requests().pop().context("no call")?.path;
    assert_eq!(path, "/v1/responses");
    Ok(())
}
