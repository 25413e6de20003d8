//! What chat requests become, as golden files, and what is refused in the caller's names.
//!
//! Invariant: every request that is understood is also one that adapters can read.

use super::object;
use crate::{
    call::{Refusal, RefusalKind},
    chat,
    completions::{Asked, ask},
    request::Request,
};
use serde_json::{Value, json};

fn asked(mut chat: Value) -> Result<Asked, Refusal> {
    let body = chat.as_object_mut().expect("an object");
    body.entry("model").or_insert_with(|| "poet".into());
    body.entry("messages").or_insert_with(|| json!([{"role": "user", "content": "Hi"}]));
    ask(body)
}

fn weather() -> Value {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!({"type": "function", "function": {"name": "weather", "description": "Of a city", "parameters": parameters}})
}

fn conversation() -> Value {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}});
    json!([
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Weather in Rome and Oslo?"},
        {"role": "assistant", "content": "Looking.", "refusal": null, "audio": null, "annotations": [], "function_call": null, "reasoning_content": "Two calls.",
         "tool_calls": [call("call_a", "{ \"city\":\"Rome\" }"), call("call_b", "{\"city\":\"\\u004fslo\"}")]},
        {"role": "tool", "tool_call_id": "call_a", "content": "sun"},
        {"role": "tool", "tool_call_id": "call_b", "content": [{"type": "text", "text": "rain"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Sun"}, {"type": "refusal", "refusal": "No more."}]},
        {"role": "assistant", "content": null, "refusal": "Really not."},
        {"role": "user", "content": "Why?"},
    ])
}

fn parts() -> Value {
    json!([{"role": "user", "content": [
        {"type": "text", "text": "Compare.", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "file", "file": {"file_id": "file-1", "filename": null}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]}])
}

fn cases() -> Vec<(&'static str, Value)> {
    let schema = json!({"name": "n", "description": "d", "schema": {"type": "object"}, "strict": true});
    let function = json!({"type": "function", "function": {"name": "weather"}});
    let allowed =
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [function]}});
    vec![
        ("text", json!({})),
        ("conversation", json!({"messages": conversation()})),
        ("parts", json!({"messages": parts()})),
        (
            "function_messages",
            json!({"messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": null, "function_call": {"name": "weather", "arguments": "{}"}},
                {"role": "function", "name": "weather", "content": "sun"},
            ]}),
        ),
        (
            "tools",
            json!({"tools": [weather(), {"type": "function", "function": {"name": "now", "strict": true}}], "tool_choice": "required", "parallel_tool_calls": false}),
        ),
        ("choice_function", json!({"tools": [weather()], "tool_choice": function})),
        ("choice_allowed", json!({"tools": [weather()], "tool_choice": allowed})),
        (
            "schema",
            json!({"response_format": {"type": "json_schema", "json_schema": schema}, "verbosity": "low"}),
        ),
        ("json_object", json!({"response_format": {"type": "json_object"}})),
        ("older_limit", json!({"max_tokens": 5})),
        (
            "sampling",
            json!({"max_completion_tokens": 5, "max_tokens": 5, "temperature": 0.5, "top_p": 0.25, "reasoning_effort": "low", "n": 1, "modalities": ["text"], "stop": null}),
        ),
        ("logprobs", json!({"logprobs": true, "top_logprobs": 2})),
        ("no_logprobs", json!({"logprobs": false, "top_logprobs": null})),
        ("stream", json!({"stream": true, "stream_options": {"include_usage": true}})),
        (
            "labels",
            json!({"store": true, "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "auto"}),
        ),
        (
            "not_in_responses",
            json!({"stop": ["a"], "seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0.5, "logit_bias": {"1": 1}, "top_k": 3}),
        ),
    ]
}

#[test]
fn every_chat_request_is_one_of_responses() {
    for (name, chat) in cases() {
        let asked = asked(chat).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        insta::assert_json_snapshot!(
            format!("asked_{name}"),
            json!({"body": asked.body, "include_usage": asked.include_usage})
        );
        asked.request().unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    }
}

#[test]
fn what_no_target_serves_is_refused() {
    let said = |message: Value| json!({"messages": [{"role": "user", "content": "Hi"}, message]});
    let user = |part: Value| said(json!({"role": "user", "content": [part]}));
    let cases = [
        (json!({"n": 2}), "n"),
        (json!({"functions": []}), "functions"),
        (json!({"function_call": "auto"}), "function_call"),
        (json!({"audio": {"voice": "alloy"}}), "audio"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"instructions": "x"}), "instructions"),
        (json!({"input": "x"}), "input"),
        (json!({"reasoning": {"effort": "low"}}), "reasoning"),
        (json!({"tools": [weather(), {"type": "custom", "custom": {"name": "c"}}]}), "tools[1].type"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f", "cached": true}}]}),
            "tools[0].function.cached",
        ),
        (json!({"tool_choice": {"type": "custom"}}), "tool_choice"),
        (said(json!({"role": "user", "content": "x", "name": "Ada"})), "messages[1].name"),
        (said(json!({"role": "assistant", "content": "x", "prefix": true})), "messages[1].prefix"),
        (said(json!({"role": "assistant", "audio": {"id": "a"}})), "messages[1].audio"),
        (
            said(json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]})),
            "messages[1].tool_calls[0].type",
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "x", "size": 1}})),
            "messages[1].content[0].image_url.size",
        ),
    ];
    for (chat, param) in cases {
        let refusal = asked(chat.clone()).expect_err(&chat.to_string());
        assert_eq!((refusal.param.as_str(), refusal.kind), (param, RefusalKind::Unsupported), "{chat}");
    }
}

#[test]
fn what_is_no_chat_request_is_invalid() {
    let one = |message: Value| json!({"messages": [message]});
    let call = |call: Value| one(json!({"role": "assistant", "tool_calls": [call]}));
    let cases = [
        (json!({"messages": []}), "messages"),
        (json!({"messages": "Hi"}), "messages"),
        (json!({"messages": null}), "messages"),
        (one(json!("Hi")), "messages[0]"),
        (one(json!({"content": "Hi"})), "messages[0].role"),
        (one(json!({"role": "ai", "content": "Hi"})), "messages[0].role"),
        (one(json!({"role": "user"})), "messages[0].content"),
        (one(json!({"role": "user", "content": 7})), "messages[0].content"),
        (one(json!({"role": "user", "content": [{"type": "text"}]})), "messages[0].content[0].text"),
        (one(json!({"role": "user", "content": [{"type": "video"}]})), "messages[0].content[0].type"),
        (
            one(json!({"role": "user", "content": [{"type": "image_url", "image_url": "x"}]})),
            "messages[0].content[0].image_url",
        ),
        (
            one(json!({"role": "assistant", "content": [{"type": "image_url"}]})),
            "messages[0].content[0].type",
        ),
        (one(json!({"role": "assistant", "reasoning_content": 7})), "messages[0].reasoning_content"),
        (one(json!({"role": "tool", "content": "x"})), "messages[0].tool_call_id"),
        (one(json!({"role": "function", "name": "f", "content": "x"})), "messages[0]"),
        (
            call(json!({"type": "function", "function": {"name": "f", "arguments": "{}"}})),
            "messages[0].tool_calls[0].id",
        ),
        (
            call(json!({"id": "c", "type": "function", "function": {"name": "f"}})),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (json!({"max_tokens": 5, "max_completion_tokens": 6}), "max_tokens"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
        (json!({"tools": {}}), "tools"),
        (json!({"tools": [{"type": "function", "function": {}}]}), "tools[0].function.name"),
        (json!({"tool_choice": {"type": "function"}}), "tool_choice.function.name"),
    ];
    for (chat, param) in cases {
        let refusal = asked(chat.clone()).expect_err(&chat.to_string());
        assert_eq!((refusal.param.as_str(), refusal.kind), (param, RefusalKind::Invalid), "{chat}");
    }
}

/// Refusals of what the request becomes.
#[test]
fn later_refusals_name_the_callers_members() {
    let messages = |message: Value| {
        json!({"messages": [{"role": "assistant", "content": "a", "tool_calls": [
        {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]}, {"role": "tool", "tool_call_id": "call_a", "content": "x"}, message]})
    };
    let user =
        |part: Value| messages(json!({"role": "user", "content": [{"type": "text", "text": "See."}, part]}));
    let cases = [
        (user(json!({"type": "file", "file": {}})), "messages[2].content[1]"),
        (
            user(json!({"type": "image_url", "image_url": {"url": "data:x"}})),
            "messages[2].content[1].image_url.url",
        ),
        (
            user(json!({"type": "image_url", "image_url": {"url": "x", "detail": "best"}})),
            "messages[2].content[1].image_url.detail",
        ),
        (messages(json!({"role": "tool", "tool_call_id": "", "content": "x"})), "messages[2].tool_call_id"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_completion_tokens": "many"}), "max_completion_tokens"),
        (json!({"temperature": 3}), "temperature"),
        (json!({"reasoning_effort": "endless"}), "reasoning_effort"),
        (json!({"verbosity": "mute"}), "verbosity"),
        (json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}), "tools[0].function.name"),
        (
            json!({"tools": [weather()], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice.function.name",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}}),
            "response_format.json_schema.name",
        ),
        (json!({"store": true}), "store"),
    ];
    for (chat, param) in cases {
        let asked = asked(chat.clone()).unwrap_or_else(|refusal| panic!("{chat}: {refusal}"));
        let refusal =
            Request::read(&asked.body).and_then(|request| chat::call(&request)).expect_err(&chat.to_string());
        assert_eq!(asked.refusal(refusal).param, param, "{chat}");
    }
}

#[test]
fn a_provider_of_responses_is_not_asked_what_it_has_no_word_for() {
    for name in ["stop", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "prediction"] {
        let chat = json!({name: [1]});
        let refusal = asked(chat).expect("asked").native().expect_err(name);
        assert_eq!((refusal.param.as_str(), refusal.kind), (name, RefusalKind::Unsupported));
    }
    let asked =
        asked(json!({"messages": conversation(), "stop": null, "safety_identifier": "s"})).expect("asked");
    let body = asked.native().expect("served");
    let mut expected = asked.body.clone();
    expected["input"].as_array_mut().expect("items").retain(|item| item["type"] != "reasoning");
    assert_eq!(body, expected);
    assert_eq!(object(Value::Object(body))["store"], json!(false));
}
