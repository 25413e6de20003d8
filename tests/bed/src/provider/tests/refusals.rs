//! What the real providers refuse is refused, and what they take is taken: a wrong translation shows here.

mod anthropic;
mod gemini;

use serde_json::{Value, json};

use super::exchange;
use super::speakers::{ALL, Speaker, with};
use crate::provider::Provider;

const PNG: &str = "iVBORw0KGgo=";

async fn answer(provider: &Provider, speaker: Speaker, members: Value) -> (String, Value) {
    let body = with(speaker.body(), members);
    let raw = speaker.ask(provider, &body, false).await;
    (raw.status().to_owned(), raw.json())
}

/// Each row is refused with 400 and these words.
async fn refused(speaker: Speaker, rows: Vec<(Value, &str)>) {
    let provider = Provider::start().await.expect("start");
    for (members, words) in rows {
        let (status, body) = answer(&provider, speaker, members.clone()).await;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert!(status == "400" && message.contains(words), "{members}: {status} {body}");
    }
}

async fn taken(speaker: Speaker, rows: Vec<Value>) {
    let provider = Provider::start().await.expect("start");
    for members in rows {
        let (status, body) = answer(&provider, speaker, members.clone()).await;
        assert_eq!(status, "200", "{members}: {body}");
    }
}

#[tokio::test]
async fn nobody_is_let_in_with_the_credentials_of_another_protocol() {
    let provider = Provider::start().await.expect("start");
    let none = ["401", "401", "401", "403"];
    for (speaker, status) in ALL.into_iter().zip(none) {
        let raw = exchange(&provider, &speaker.request_with("", &speaker.body(), false)).await;
        assert_eq!(raw.status(), status, "{speaker:?}");
        assert!(raw.json()["error"]["message"].is_string(), "{speaker:?}");
        for other in ALL {
            let same = |one: Speaker| matches!(one, Speaker::Responses | Speaker::Chat);
            // Anthropic takes a bearer token, too, but misses its version.
            let wanted = match (speaker, other) {
                _ if speaker == other || same(speaker) && same(other) => "200",
                (Speaker::Anthropic, Speaker::Responses | Speaker::Chat) => "400",
                (Speaker::Gemini, Speaker::Anthropic) => "403",
                _ => "401",
            };
            let raw =
                exchange(&provider, &speaker.request_with(other.headers(), &speaker.body(), false)).await;
            assert_eq!(raw.status(), wanted, "{speaker:?} with the headers of {other:?}");
        }
    }
}

#[tokio::test]
async fn models_are_listed_and_unknown_routes_refused_in_the_callers_protocol() {
    let provider = Provider::start().await.expect("start");
    let names = ["/data/0/id", "/data/0/id", "/data/0/id", "/models/0/name"];
    for (speaker, name) in ALL.into_iter().zip(names) {
        let get = |path: &str| {
            let headers = speaker.headers();
            format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n").into_bytes()
        };
        let list = exchange(&provider, &get("/v1/models")).await;
        let id = list.json().pointer(name).cloned().unwrap_or_default();
        assert!(id.as_str().is_some_and(|id| id.ends_with("fake-1")), "{speaker:?}: {}", list.text());
        let unknown = exchange(&provider, &get("/v1/else")).await;
        assert_eq!(unknown.status(), "404", "{speaker:?}");
        let own = unknown.json()["error"]["status"] == "NOT_FOUND";
        assert_eq!(own, speaker == Speaker::Gemini, "{speaker:?}");
    }
    assert_eq!(
        exchange(&provider, b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n").await.status(),
        "401"
    );
}

#[tokio::test]
async fn responses_refuse_results_without_calls_and_reasoning_of_others() {
    let output = json!({"type": "function_call_output", "call_id": "c", "output": ""});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    refused(
        Speaker::Responses,
        vec![
            (json!({"input": [output]}), "No tool call found"),
            (json!({"input": [call]}), "No tool output found"),
            (json!({"input": [{"type": "reasoning", "encrypted_content": "x"}]}), "could not be verified"),
        ],
    )
    .await;
    taken(
        Speaker::Responses,
        vec![json!({"input": [call, output]}), json!({"input": [output], "previous_response_id": "resp_1"})],
    )
    .await;
}

#[tokio::test]
async fn chat_completions_refuse_what_openai_refuses() {
    let user = json!({"role": "user", "content": "x"});
    let messages = |list: Value| json!({"messages": list});
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let calls = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]});
    let format = |schema: Value| {
        let schema = json!({"name": "n", "schema": schema, "strict": true});
        json!({"response_format": {"type": "json_schema", "json_schema": schema}})
    };
    let tool = |function: Value| json!({"tools": [{"type": "function", "function": function}]});
    refused(
        Speaker::Chat,
        vec![
            (json!({"messages": null}), "Missing required parameter: 'messages'"),
            (json!({"model": null}), "Missing required parameter: 'model'"),
            (messages(json!([])), "empty array"),
            (json!({"max_output_tokens": 5}), "Unknown parameter: 'max_output_tokens'"),
            (json!({"instructions": "x"}), "Unknown parameter: 'instructions'"),
            (messages(json!([{"role": "model", "content": "x"}])), "Invalid value: 'model'"),
            (messages(json!([{"role": "user"}])), "expected a string"),
            (messages(json!([user, {"role": "tool", "tool_call_id": "c", "content": ""}])), "role 'tool'"),
            (messages(json!([user, calls, user])), "must be followed by tool messages"),
            (messages(json!([user, calls])), "must be followed by tool messages"),
            (part(json!({"type": "input_text", "text": "x"})), "Invalid value: 'input_text'"),
            (part(json!({"type": "image_url", "image_url": "https://x"})), "expected an object"),
            (part(json!({"type": "image_url", "image_url": {"url": PNG}})), "Invalid image URL"),
            (part(json!({"type": "file", "file": {"file_data": "JVBERg=="}})), "data URL"),
            (json!({"tools": [{"type": "function", "name": "f"}]}), "'tools[0].function'"),
            (tool(json!({"name": "a b"})), "does not match pattern"),
            (
                tool(json!({"name": "f", "strict": true, "parameters": {"type": "object"}})),
                "additionalProperties",
            ),
            (json!({"tool_choice": "auto"}), "only allowed when 'tools' are specified"),
            (json!({"parallel_tool_calls": true}), "only allowed when 'tools' are specified"),
            (format(json!({"type": "object", "properties": {}})), "'additionalProperties' is required"),
            (
                format(json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false})),
                "Missing 'a'",
            ),
            (json!({"response_format": {"type": "json_object"}}), "must contain the word 'json'"),
            (json!({"stream_options": {"include_usage": true}}), "only allowed when 'stream' is enabled"),
            (json!({"logprobs": false}), "only allowed when 'logprobs' is enabled"),
            (json!({"temperature": 3}), "out of range"),
            (json!({"max_tokens": 1, "max_completion_tokens": 1}), "not supported"),
        ],
    )
    .await;
}

#[tokio::test]
async fn chat_completions_take_all_forms_of_content_tools_and_schemas() {
    let png = format!("data:image/png;base64,{PNG}");
    let schema = json!({
        "type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}, "required": ["a"],
        "additionalProperties": false,
    });
    let parts = json!([
        {"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": png, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]);
    let function = json!({"name": "f", "parameters": schema, "strict": true});
    taken(
        Speaker::Chat,
        vec![
            json!({"messages": [{"role": "developer", "content": "d"}, {"role": "user", "content": parts}]}),
            json!({"response_format": {"type": "json_schema", "json_schema": {
                "name": "n", "schema": schema, "strict": true,
            }}}),
            json!({
                "tools": [{"type": "function", "function": function}], "parallel_tool_calls": false,
                "tool_choice": {"type": "function", "function": {"name": "f"}},
            }),
            json!({"reasoning_effort": "high", "max_completion_tokens": 9, "stop": ["a"], "top_k": 5}),
        ],
    )
    .await;
}
