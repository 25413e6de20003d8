//! Every fault once in every protocol: what goes wrong goes wrong in that protocol's words, or below all words.

use std::io::Read;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::speakers::{ALL, Speaker, events, with_knobs};
use super::{Raw, SOON, connect};
use crate::provider::{Knobs, Provider};

const TEXT: &str = "déjà vu 🌸 ende";

async fn ask(speaker: Speaker, provider: &Provider, knobs: Value, stream: bool) -> Raw {
    speaker.ask(provider, &with_knobs(speaker.body(), &knobs), stream).await
}

#[tokio::test]
async fn every_way_to_write_a_stream_says_the_same_in_every_protocol() {
    let provider = Provider::start().await.expect("start");
    let manners = [
        json!({"eol": "lf"}),
        json!({"eol": "crlf"}),
        json!({"eol": "cr"}),
        json!({"bom": true}),
        json!({"comments": true}),
        json!({"non_event_lines": true}),
        json!({"drop_event_lines": true}),
        json!({"no_final_blank_line": true}),
        json!({"chunk_bytes": 1}),
        json!({"delay_event_ms": 1}),
    ];
    for speaker in ALL {
        for manner in &manners {
            let mut knobs = manner.clone();
            knobs["text"] = TEXT.into();
            let raw = ask(speaker, &provider, knobs, true).await;
            assert_eq!(speaker.said(&raw, true).text, TEXT, "{speaker:?} {manner}");
            assert_eq!(
                raw.text().starts_with('\u{feff}'),
                manner.get("bom").is_some(),
                "{speaker:?} {manner}"
            );
        }
    }
}

#[tokio::test]
async fn unsaid_manners_are_the_protocols_own() {
    let provider = Provider::start().await.expect("start");
    for speaker in ALL {
        let text = ask(speaker, &provider, json!({"text": "a"}), true).await.text();
        assert_eq!(text.contains("\r\n"), speaker == Speaker::Gemini, "{speaker:?}");
        assert_eq!(text.ends_with("data: [DONE]\n\n"), speaker == Speaker::Chat, "{speaker:?}");
        let named = matches!(speaker, Speaker::Responses | Speaker::Anthropic);
        assert_eq!(text.contains("event: "), named, "{speaker:?}");
        let other =
            ask(speaker, &provider, json!({"text": "a", "done_marker": !text.contains("[DONE]")}), true)
                .await;
        assert_ne!(other.text().contains("[DONE]"), text.contains("[DONE]"), "{speaker:?}");
    }
}

#[tokio::test]
async fn an_answer_ends_early_as_the_knob_says_in_every_protocol() {
    let provider = Provider::start().await.expect("start");
    for speaker in ALL {
        let reset = ask(speaker, &provider, json!({"reset_after_events": 2}), true).await;
        assert!(reset.reset && events(&reset).len() == 2, "{speaker:?}");
        let cut = ask(speaker, &provider, json!({"truncate_after_events": 2}), true).await;
        assert!(!cut.reset && events(&cut).len() == 2 && !cut.text().contains("[DONE]"), "{speaker:?}");
        for knobs in [json!({"reset_after_events": 0}), json!({"truncate_after_events": 0})] {
            let half = ask(speaker, &provider, knobs.clone(), false).await;
            assert!(
                half.status() == "200" && serde_json::from_slice::<Value>(&half.body).is_err(),
                "{speaker:?} {knobs}"
            );
        }
        for (refuse, reset) in [("close", false), ("reset", true)] {
            let refused = ask(speaker, &provider, json!({"refuse": refuse}), false).await;
            assert!(refused.reset == reset && refused.head.is_empty(), "{speaker:?} {refuse}");
        }
    }
}

#[tokio::test]
async fn silence_of_every_kind_is_left_by_the_client_in_every_protocol() {
    let provider = Provider::start().await.expect("start");
    let silences = [
        (json!({"delay_headers_ms": 60_000}), false),
        (json!({"silent_after_events": 1}), true),
        (json!({"silent_mid_line": 1}), true),
        (json!({"silent_after_events": 1}), false),
        (json!({"wait_for_release": true}), false),
        (json!({"hold_after_events": 1}), true),
    ];
    let mut left = 0;
    for speaker in ALL {
        for (knobs, stream) in &silences {
            let mut connection = connect(&provider).await;
            let request = speaker.request(&with_knobs(speaker.body(), knobs), *stream);
            connection.write_all(&request).await.expect("write");
            let running = provider.calls().wait_until(|counts| counts.in_flight == 1, SOON).await;
            running.expect("in flight");
            drop(connection);
            left += 1;
            let seen = provider.calls().wait_until(|counts| counts.aborted == left, SOON).await;
            seen.unwrap_or_else(|error| panic!("{speaker:?} {knobs}: {error}"));
        }
    }
}

#[tokio::test]
async fn what_is_held_goes_on_when_it_is_released_in_every_protocol() {
    let provider = Provider::start().await.expect("start");
    for speaker in ALL {
        let answer = ask(speaker, &provider, json!({"text": TEXT, "hold_after_events": 1}), true);
        let release = async {
            provider.calls().wait_until(|counts| counts.held == 1, SOON).await.expect("held");
            provider.release();
        };
        let (raw, ()) = tokio::join!(answer, release);
        assert_eq!(speaker.said(&raw, true).text, TEXT, "{speaker:?}");
    }
}

/// The type of an error in the envelope of each protocol, and where the request's id stands.
fn kinds(status: u16) -> [&'static str; 4] {
    match status {
        401 => ["authentication_error", "authentication_error", "authentication_error", "UNAUTHENTICATED"],
        429 => ["rate_limit_error", "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"],
        400 => {
            ["invalid_request_error", "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"]
        }
        503 => ["server_error", "server_error", "api_error", "UNAVAILABLE"],
        529 => ["server_error", "server_error", "overloaded_error", "INTERNAL"],
        _ => ["server_error", "server_error", "api_error", "INTERNAL"],
    }
}

#[tokio::test]
async fn a_status_comes_in_the_protocols_own_envelope() {
    let provider = Provider::start().await.expect("start");
    for status in [400, 401, 429, 500, 503, 529] {
        for (speaker, kind) in ALL.into_iter().zip(kinds(status)) {
            let raw = ask(speaker, &provider, json!({"status": status, "retry_after": "7"}), true).await;
            assert_eq!(raw.status(), status.to_string(), "{speaker:?}");
            assert!(raw.head.contains("retry-after: 7"), "{speaker:?}");
            let body = raw.json();
            let member = if speaker == Speaker::Gemini { "status" } else { "type" };
            assert_eq!(body["error"][member], kind, "{speaker:?} {status}");
            assert_eq!(body["type"] == "error", speaker == Speaker::Anthropic, "{speaker:?}");
            if speaker == Speaker::Anthropic {
                let id = body["request_id"].as_str().expect("an id");
                assert!(raw.head.contains(&format!("request-id: {id}\r\n")), "{}", raw.head);
            }
        }
    }
}

#[tokio::test]
async fn redirects_compression_and_what_is_no_json_in_every_protocol() {
    let provider = Provider::start().await.expect("start");
    for speaker in ALL {
        let moved = ask(speaker, &provider, json!({"redirect": ""}), false).await;
        assert!(
            moved.status() == "307" && moved.head.contains("location: http://169.254.169.254/"),
            "{speaker:?}"
        );
        let mut packed = ask(speaker, &provider, json!({"gzip": true, "text": TEXT}), true).await;
        assert!(packed.head.contains("content-encoding: gzip"), "{speaker:?}");
        let mut body = Vec::new();
        flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_end(&mut body).expect("gzip");
        packed.body = body;
        assert_eq!(speaker.said(&packed, true).text, TEXT, "{speaker:?}");
        let whole = ask(speaker, &provider, json!({"invalid_json": true}), false).await;
        assert!(serde_json::from_slice::<Value>(&whole.body).is_err(), "{speaker:?}");
        let streamed = ask(speaker, &provider, json!({"invalid_json": true}), true).await.text();
        let broken =
            streamed.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        assert!(broken.map(serde_json::from_str::<Value>).any(|data| data.is_err()), "{speaker:?}");
    }
}

#[tokio::test]
async fn knobs_of_a_model_need_nothing_in_the_body_of_any_protocol() {
    let provider = Provider::start().await.expect("start");
    provider.set_default(Knobs { text: Some("everybody's".into()), ..Knobs::default() });
    provider.set_model("m", Knobs { reasoning: Some("hm".into()), ..Knobs::default() });
    for speaker in ALL {
        let said = speaker.said(&speaker.ask(&provider, &speaker.body(), true).await, true);
        assert_eq!((said.text.as_str(), said.reasoning.as_str()), ("everybody's", "hm"), "{speaker:?}");
    }
    assert_eq!(provider.calls_of("m").counts().completed, 4);
}
