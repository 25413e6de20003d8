//! Bytes that nobody meant, near those that somebody did: no parser panics, and what it makes of them is sound.
//!
//! `PROPTEST_CASES` says how many inputs each target gets; what fails is written into the corpus by hand.
//!
//! Invariant: a target states what holds for every input, not only that nothing panics.

use super::{corpus::samples, events, mutation::mutated, read};
use crate::{
    call::Refusal,
    completions,
    protocol::Protocol,
    replay,
    request::Request,
    response::Failure,
    sse::{Event, Parser},
};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};

/// A refusal names a member of the caller's body, or one that has to be there.
fn named(refusal: &Refusal, body: &Map<String, Value>) {
    let needed = ["model", "input", "messages"].map(str::to_owned);
    assert!(body.keys().chain(&needed).any(|member| refusal.param.starts_with(member)), "{refusal}");
}

/// Tries a target with its corpus and with what is near it.
fn attack(target: &str, holds: impl Fn(&[u8])) {
    let samples = samples(target);
    for sample in &samples {
        holds(&sample.bytes);
    }
    let config = Config { failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&mutated(samples), |input| {
        holds(&input.0);
        Ok(())
    });
    if let Err(error) = run {
        panic!("{target}: {error}");
    }
}

fn sse_events(bytes: &[u8], size: usize) -> Vec<Event> {
    let (mut parser, mut events) = (Parser::default(), Vec::new());
    if bytes.chunks(size).all(|piece| parser.feed(piece, &mut events).is_ok()) {
        events.extend(parser.finish().ok().flatten());
    }
    events
}

#[test]
fn server_sent_events_are_the_same_in_any_pieces() {
    attack("sse", |bytes| {
        let whole = sse_events(bytes, bytes.len().max(1));
        for size in [1, 2, 7] {
            assert_eq!(sse_events(bytes, size), whole);
        }
        for event in whole {
            assert_eq!(sse_events(event.write().as_bytes(), 5), [event]);
        }
    });
}

#[test]
fn a_request_that_is_read_is_written_as_the_same_and_asked_or_refused() {
    attack("request", |bytes| {
        let Ok(body) = serde_json::from_slice(bytes) else { return };
        match Request::read(&body) {
            Ok(request) => {
                assert_eq!(Request::read(&request.write()).as_ref(), Ok(&request));
                for protocol in Protocol::ALL {
                    if let Err(refusal) = protocol.call(&request) {
                        named(&refusal, &body);
                    }
                }
            }
            Err(refusal) => named(&refusal, &body),
        }
    });
}

#[test]
fn a_request_for_a_chat_completion_is_asked_or_refused_in_the_callers_names() {
    attack("completions_request", |bytes| {
        let Ok(body) = serde_json::from_slice(bytes) else { return };
        let asked = match completions::ask(&body) {
            Ok(asked) => asked,
            Err(refusal) => return named(&refusal, &body),
        };
        let requests = [asked.request(), asked.native().and_then(|native| Request::read(&native))];
        for request in requests {
            let calls = request
                .and_then(|request| Protocol::ALL.iter().try_for_each(|to| to.call(&request).map(drop)));
            if let Err(refusal) = calls {
                assert!(!asked.refusal(refusal).param.is_empty());
            }
        }
    });
}

/// What a caller of chat completions is sent: every line JSON, the last one `[DONE]` and only that.
fn chunks(events: impl Iterator<Item = Value>) {
    let mut writer = completions::Writer::new("poet", true);
    let mut lines: Vec<String> = events.flat_map(|event| writer.event(&event)).collect();
    lines.extend(writer.end());
    assert_eq!(lines.pop().as_deref(), Some("[DONE]"));
    assert!(lines.iter().all(|line| serde_json::from_str::<Map<String, Value>>(line).is_ok()), "{lines:?}");
}

#[test]
fn any_events_become_chunks_that_end() {
    attack("completions_events", |bytes| {
        let events = sse_events(bytes, bytes.len().max(1));
        let events = events.iter().filter_map(|event| serde_json::from_str(&event.data).ok());
        let events: Vec<Value> = events.collect();
        for event in &events {
            let _ = completions::completion(&event["response"], "poet");
        }
        chunks(events.into_iter());
    });
}

fn streams_are_read(protocol: Protocol) {
    attack(&format!("{}_stream", protocol.name()), |bytes| {
        let whole = read(protocol, [bytes]);
        for size in [1, 7] {
            assert_eq!(read(protocol, bytes.chunks(size)), whole);
        }
        let (events, response) = events(protocol, whole.0, whole.1);
        let is_failed = response["status"] == "failed";
        assert_eq!(completions::completion(&response, "poet").is_err(), is_failed);
        chunks(events.into_iter().map(|event| event.data));
    });
}

fn bodies_are_read(protocol: Protocol) {
    attack(&format!("{}_whole", protocol.name()), |bytes| {
        if let Ok(facts) = protocol.whole(bytes) {
            events(protocol, facts, Ok(()));
        }
    });
}

fn errors_are_read(protocol: Protocol) {
    attack(&format!("{}_error", protocol.name()), |bytes| {
        for status in [301, 400, 401, 404, 429, 500, 529] {
            let failure = Failure::from(&protocol.error(status, bytes));
            assert!(!failure.message.is_empty(), "status {status}");
        }
    });
}

macro_rules! attacks {
    ($($name:ident = $holds:ident $protocol:ident;)*) => {
        $(#[test]
        fn $name() {
            $holds(Protocol::$protocol);
        })*
    };
}

attacks! {
    any_chat_stream_ends_well = streams_are_read Chat;
    any_anthropic_stream_ends_well = streams_are_read Anthropic;
    any_gemini_stream_ends_well = streams_are_read Gemini;
    any_chat_body_is_an_answer_or_malformed = bodies_are_read Chat;
    any_anthropic_body_is_an_answer_or_malformed = bodies_are_read Anthropic;
    any_gemini_body_is_an_answer_or_malformed = bodies_are_read Gemini;
    any_chat_error_is_one = errors_are_read Chat;
    any_anthropic_error_is_one = errors_are_read Anthropic;
    any_gemini_error_is_one = errors_are_read Gemini;
}

#[test]
fn sealed_thoughts_that_nobody_sealed_are_none_or_are_parts() {
    attack("replay", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for protocol in Protocol::ALL {
            if let Some(parts) = replay::open(protocol.name(), &text) {
                assert_eq!(
                    replay::open(protocol.name(), &replay::seal(protocol.name(), &parts)),
                    Some(parts)
                );
            }
        }
    });
}
