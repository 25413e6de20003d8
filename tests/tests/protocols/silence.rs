//! Silences of the provider (E14) on every kind of target: comments, then the deadline; none that matters once the model is done.

use alphagate_bed::{Bed, Options};
use alphagate_tests::Stage;
use anyhow::Result;
use serde_json::json;
use tokio::sync::OnceCell;

use super::{
    ends::failed,
    read::{read, says},
};
use crate::{MANNERS, PROTOCOLS, post, set};

/// Between two comments, milliseconds.
const KEEP_ALIVE_MS: u64 = 200;
/// The longest silence, milliseconds.
const SILENCE_MAX_MS: u64 = 1_500;

/// A bed whose edge waits for milliseconds where it waits for seconds by default.
async fn stage(protocol: &'static str) -> Result<Stage> {
    static IMPATIENT: OnceCell<Bed> = OnceCell::const_new();
    let options = Options::default()
        .edge_var("AG_KEEPALIVE_MS", KEEP_ALIVE_MS)
        .edge_var("AG_FIRST_BYTE_TIMEOUT_MS", SILENCE_MAX_MS)
        .edge_var("AG_STREAM_IDLE_MAX_MS", SILENCE_MAX_MS);
    let bed = IMPATIENT.get_or_try_init(|| Bed::start(options)).await?;
    Stage::speaking(bed, protocol, json!({})).await
}

#[tokio::test]
async fn e14_a_silence_is_filled_with_comments_until_the_deadline() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for fault in ["silent_after_events", "silent_mid_line"] {
            set(&stage, json!({"words": 40, fault: 6}))?;
            for manner in MANNERS.into_iter().filter(|manner| manner.stream) {
                let text = post(&stage, manner, says(manner, "x")).await?.error_for_status()?.text().await?;
                failed(manner, &text, "upstream_timeout");
                // Within an event of the provider there is a boundary only where events are told anew.
                let has_room = fault == "silent_after_events" || protocol != "responses" || manner.chat;
                assert_eq!(
                    text.contains(": keep-alive\n\n"),
                    has_room,
                    "{protocol} {manner:?} {fault}: {text}"
                );
            }
        }
        let events = stage.usage(4).await?;
        assert!(events.iter().all(|event| event["outcome"] == "failed"), "{protocol}: {events:?}");
    }
    Ok(())
}

#[tokio::test]
async fn e09_refusals_after_keep_alives_are_events() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        for (knobs, code) in [
            (json!({"status": 503}), "upstream_overloaded"),
            (json!({"refuse": "reset"}), "upstream_unreachable"),
        ] {
            let mut knobs = knobs;
            knobs["delay_headers_ms"] = json!(2 * KEEP_ALIVE_MS);
            set(&stage, knobs)?;
            for manner in MANNERS.into_iter().filter(|manner| manner.stream) {
                let text = post(&stage, manner, says(manner, "x")).await?.error_for_status()?.text().await?;
                assert!(text.starts_with(": keep-alive\n\n"), "{protocol} {manner:?}: {text}");
                failed(manner, &text, code);
            }
        }
    }
    Ok(())
}

/// How many events the provider sends, without the marker that some send last.
async fn events_of(stage: &Stage) -> Result<usize> {
    set(stage, json!({"text": "a b"}))?;
    let provider = stage.bed.provider();
    let (path, body) = match stage.protocol {
        "chat" => (
            "/chat/completions".to_owned(),
            json!({"stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "x"}]}),
        ),
        "anthropic" => {
            ("/messages".to_owned(), json!({"max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}))
        }
        "gemini" => (
            format!("/models/{}:streamGenerateContent?alt=sse", stage.model),
            json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]}),
        ),
        _ => ("/responses".to_owned(), json!({"input": "x"})),
    };
    let mut body = body;
    if stage.protocol != "gemini" {
        body["model"] = json!(stage.model);
        body["stream"] = json!(true);
    }
    let request = stage.caller.http.post(format!("{}{path}", provider.base_url())).json(&body);
    let request = request.bearer_auth("sk").header("x-api-key", "sk").header("x-goog-api-key", "sk");
    let answer = request.header("anthropic-version", "2023-06-01").send().await?.error_for_status()?;
    let events = alphagate_tests::read_events(&answer.bytes().await?);
    Ok(events.iter().filter(|event| event.data != "[DONE]").count())
}

#[tokio::test]
async fn e10_a_connection_that_stays_open_after_the_end_changes_nothing() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = stage(protocol).await?;
        let whole = events_of(&stage).await?;
        set(&stage, json!({"text": "a b", "silent_after_events": whole}))?;
        for manner in MANNERS.into_iter().filter(|manner| manner.stream) {
            let text = post(&stage, manner, says(manner, "x")).await?.error_for_status()?.text().await?;
            assert_eq!(read(manner, &text)?.text, "a b", "{protocol} {manner:?}");
        }
        let events = stage.usage(2).await?;
        assert!(events.iter().all(|event| event["outcome"] == "completed"), "{protocol}: {events:?}");
    }
    Ok(())
}
