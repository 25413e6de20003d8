//! What events become, as golden files.
//!
//! Invariant: the events have the form of OpenAI's own, not only of the lifecycle's.

use crate::completions::Writer;
use serde_json::{Value, json};

fn created() -> Value {
    let response = json!({"id": "resp_0a1b", "created_at": 1_764_000_000, "status": "in_progress", "model": "gpt-5.2", "service_tier": "default", "output": []});
    json!({"type": "response.created", "sequence_number": 0, "response": response})
}

fn ended(kind: &str, more: Value) -> Value {
    let mut response = json!({"id": "resp_0a1b", "created_at": 1_764_000_000, "model": "gpt-5.2", "usage": {
        "input_tokens": 12, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 17,
    }});
    response.as_object_mut().expect("an object").extend(super::object(more));
    json!({"type": kind, "sequence_number": 99, "response": response})
}

fn completed() -> Value {
    ended("response.completed", json!({"status": "completed"}))
}

/// An event of the part at this place.
fn part(kind: &str, output: u64, more: Value) -> Value {
    let mut event = json!({"type": kind, "sequence_number": 1, "item_id": "item", "output_index": output, "content_index": 0});
    event.as_object_mut().expect("an object").extend(super::object(more));
    event
}

fn text(delta: &str) -> Value {
    part("response.output_text.delta", 0, json!({"delta": delta, "logprobs": []}))
}

fn item(kind: &str, output: u64, id: &str, arguments: &str) -> Value {
    let item = json!({"type": "function_call", "id": "fc", "status": "in_progress", "call_id": id, "name": "weather", "arguments": arguments});
    json!({"type": kind, "sequence_number": 1, "output_index": output, "item": item})
}

fn arguments(output: u64, delta: &str) -> Value {
    part("response.function_call_arguments.delta", output, json!({"delta": delta}))
}

fn calls() -> Vec<Value> {
    let message =
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}});
    vec![
        created(),
        json!({"type": "response.in_progress", "response": {}}),
        message,
        text("Looking."),
        item("response.output_item.added", 1, "call_a", ""),
        arguments(1, "{ \"ci"),
        item("response.output_item.added", 3, "call_b", ""),
        arguments(3, "{}"),
        arguments(1, "ty\":1}"),
        part("response.function_call_arguments.done", 3, json!({"arguments": "{}"})),
        item("response.output_item.done", 3, "call_b", "{}"),
        part("response.function_call_arguments.done", 1, json!({"arguments": "{ \"city\":1}"})),
        item("response.output_item.done", 1, "call_a", "{ \"city\":1}"),
        completed(),
    ]
}

fn around() -> Vec<Value> {
    let logprobs =
        json!([{"token": "Hi", "logprob": -0.25, "top_logprobs": [{"token": "Hi", "logprob": -0.25}]}]);
    let citation = json!({"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0, "end_index": 2});
    let annotation = |annotation: Value| {
        part("response.output_text.annotation.added", 0, json!({"annotation": annotation}))
    };
    vec![
        created(),
        part("response.output_text.delta", 0, json!({"delta": "Hi", "logprobs": logprobs})),
        annotation(citation),
        annotation(json!({"type": "file_citation", "file_id": "f"})),
        completed(),
    ]
}

fn thoughts() -> Vec<Value> {
    let summary = |delta: &str| {
        part("response.reasoning_summary_text.delta", 0, json!({"delta": delta, "summary_index": 0}))
    };
    let added = || {
        part(
            "response.reasoning_summary_part.added",
            0,
            json!({"part": {"type": "summary_text", "text": ""}}),
        )
    };
    vec![
        created(),
        added(),
        summary("One"),
        summary("."),
        added(),
        summary("Two."),
        part("response.reasoning_text.delta", 1, json!({"delta": "Hm."})),
        text("Hi"),
        completed(),
    ]
}

fn cases() -> Vec<(&'static str, Vec<Value>)> {
    let nested = json!({"type": "error", "code": "x", "error": {"type": "model_error", "code": "upstream_error", "message": "Broken.", "param": null}});
    let failed = ended("response.failed", json!({"error": {"code": "server_error", "message": "Broken."}}));
    let incomplete =
        |reason: &str| ended("response.incomplete", json!({"incomplete_details": {"reason": reason}}));
    let done = |kind: &str, member: &str, value: &str| part(kind, 0, json!({member: value}));
    vec![
        (
            "text",
            vec![
                created(),
                text("Autumn"),
                text(" sea\n— calm"),
                done("response.output_text.done", "text", "Autumn sea\n— calm"),
                completed(),
            ],
        ),
        ("calls", calls()),
        ("around", around()),
        ("thoughts", thoughts()),
        (
            "refusal",
            vec![
                created(),
                part("response.refusal.delta", 0, json!({"delta": "No."})),
                done("response.refusal.done", "refusal", "No."),
                completed(),
            ],
        ),
        ("length", vec![created(), text("Once"), incomplete("max_output_tokens")]),
        ("filter", vec![created(), incomplete("content_filter")]),
        (
            "without_deltas",
            vec![
                created(),
                done("response.output_text.done", "text", "Hi"),
                item("response.output_item.done", 1, "call_a", "{}"),
                completed(),
            ],
        ),
        ("failed", vec![created(), text("Once"), nested, failed.clone()]),
        ("failed_alone", vec![failed]),
        (
            "flat_error",
            vec![
                created(),
                json!({"type": "error", "code": "rate_limit_exceeded", "message": "Slow.", "param": null}),
            ],
        ),
        ("after_the_end", vec![created(), text("Hi"), completed(), text("more"), completed()]),
        ("no_usage", vec![created(), ended("response.completed", json!({"usage": null}))]),
        ("completed_alone", vec![completed()]),
    ]
}

fn written(events: &[Value], include_usage: bool) -> Vec<String> {
    let mut writer = Writer::new("poet", include_usage);
    let mut lines: Vec<String> = events.iter().flat_map(|event| writer.event(event)).collect();
    lines.extend(writer.end());
    lines
}

#[test]
fn every_stream_is_one_of_chunks() {
    for (name, events) in cases() {
        insta::assert_snapshot!(format!("stream_{name}"), written(&events, false).join("\n"));
    }
}

#[test]
fn usage_is_told_last_where_it_is_asked_for() {
    insta::assert_snapshot!("stream_with_usage", written(&calls(), true).join("\n"));
}

#[test]
fn a_stream_cut_off_at_any_place_ends_with_an_error_once() {
    for (name, events) in cases() {
        let is_terminal = |event: &Value| {
            matches!(
                event["type"].as_str(),
                Some("response.completed" | "response.incomplete" | "response.failed" | "error")
            )
        };
        let whole = events.iter().position(is_terminal).expect(name);
        for length in 0..whole {
            let lines = written(&events[..length], true);
            let [.., error, end] = lines.as_slice() else { panic!("{name}: {lines:?}") };
            assert_eq!(end, "[DONE]");
            assert!(error.starts_with("{\"error\":{"), "{name}: {error}");
            assert_eq!(lines.iter().filter(|line| line.as_str() == "[DONE]").count(), 1);
        }
    }
}
