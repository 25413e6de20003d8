//! What responses become, as golden files.
//!
//! Invariant: the responses have the form of OpenAI's own, not only of the lifecycle's.

use crate::completions::completion;
use serde_json::{Value, json};

fn response(output: Value, more: Value) -> Value {
    let mut response = json!({
        "id": "resp_0a1b", "object": "response", "created_at": 1_764_000_000.75, "status": "completed", "model": "gpt-5.2-2025-12-11",
        "output": output, "error": null, "incomplete_details": null, "usage": null,
    });
    response.as_object_mut().expect("an object").extend(super::object(more));
    response
}

fn message(content: Value) -> Value {
    json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": content})
}

fn text(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "id": format!("fc_{id}"), "status": "completed", "call_id": id, "name": "weather", "arguments": arguments})
}

fn cases() -> Vec<(&'static str, Value)> {
    let usage = json!({"usage": {
        "input_tokens": 12, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 17,
    }, "service_tier": "default"});
    let logprobs =
        json!([{"token": "Hi", "logprob": -0.25, "top_logprobs": [{"token": "Hi", "logprob": -0.25}]}]);
    let citation = json!({"type": "url_citation", "url": "https://a.example/", "title": "A", "start_index": 0, "end_index": 2});
    let file = json!({"type": "file_citation", "file_id": "file-1", "filename": "a", "index": 0});
    let reasoning = |summary: Value, content: Value| json!({"type": "reasoning", "id": "rs_1", "summary": summary, "content": content});
    let part = |kind: &str, text: &str| json!({"type": kind, "text": text});
    let incomplete = |reason: &str| json!({"status": "incomplete", "incomplete_details": {"reason": reason}});
    vec![
        ("text", response(json!([message(json!([text("Autumn"), text(" sea")]))]), usage)),
        (
            "calls",
            response(
                json!([
                    message(json!([text("Looking.")])),
                    call("call_a", "{ \"city\":\"Rome\" }"),
                    call("call_b", "")
                ]),
                json!({}),
            ),
        ),
        ("calls_alone", response(json!([call("call_a", "{}")]), json!({}))),
        ("refusal", response(json!([message(json!([{"type": "refusal", "refusal": "No."}]))]), json!({}))),
        (
            "thoughts",
            response(
                json!([
                    reasoning(
                        json!([part("summary_text", "One."), part("summary_text", "Two.")]),
                        Value::Null
                    ),
                    message(json!([text("Hi")]))
                ]),
                json!({}),
            ),
        ),
        (
            "thoughts_shown",
            response(
                json!([
                    reasoning(json!([part("summary_text", "One.")]), json!([part("reasoning_text", "Hm.")])),
                    message(json!([text("Hi")]))
                ]),
                json!({}),
            ),
        ),
        (
            "around",
            response(
                json!([message(
                    json!([{"type": "output_text", "text": "Hi", "annotations": [citation, file], "logprobs": logprobs}])
                )]),
                json!({}),
            ),
        ),
        ("length", response(json!([message(json!([text("Once")]))]), incomplete("max_output_tokens"))),
        ("filter", response(json!([]), incomplete("content_filter"))),
        ("cut_otherwise", response(json!([call("call_a", "{")]), incomplete("steered"))),
        (
            "hosted_items",
            response(
                json!([{"type": "web_search_call", "id": "ws_1"}, message(json!([text("Hi")]))]),
                json!({}),
            ),
        ),
    ]
}

#[test]
fn every_response_is_a_chat_completion() {
    for (name, response) in cases() {
        insta::assert_json_snapshot!(
            format!("completion_{name}"),
            completion(&response, "poet").expect(name)
        );
    }
}

#[test]
fn a_failed_response_is_an_error() {
    let failed = |error: Value| response(json!([]), json!({"status": "failed", "error": error}));
    let cases = [
        (
            failed(json!({"code": "server_error", "message": "Broken."})),
            "server_error",
            json!("server_error"),
            "Broken.",
        ),
        (
            failed(json!({"code": "rate_limit_exceeded", "message": "Slow."})),
            "rate_limit_error",
            json!("rate_limit_exceeded"),
            "Slow.",
        ),
        (
            failed(json!({"code": "invalid_prompt", "message": "Bad."})),
            "invalid_request_error",
            json!("invalid_prompt"),
            "Bad.",
        ),
        (
            failed(json!({"code": "image_too_large", "message": "Big."})),
            "invalid_request_error",
            json!("image_too_large"),
            "Big.",
        ),
        (failed(Value::Null), "server_error", Value::Null, "The provider failed."),
        (
            response(json!([]), json!({"status": "cancelled"})),
            "server_error",
            Value::Null,
            "The provider failed.",
        ),
        (
            response(json!([]), json!({"status": "in_progress"})),
            "server_error",
            Value::Null,
            "The provider failed.",
        ),
    ];
    for (response, kind, code, message) in cases {
        let expected = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
        assert_eq!(completion(&response, "poet"), Err(expected));
    }
}
