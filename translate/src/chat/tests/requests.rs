//! What providers are asked, as golden files, and what they cannot be asked.
//!
//! Invariant: a case says nothing that it is not about.

use super::asked;
use crate::{call::RefusalKind, chat::PROVIDER, replay};
use serde_json::{Value, json};

fn weather() -> Value {
    json!({
        "type": "function", "name": "weather", "description": "Of a city", "strict": true,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    })
}

fn time() -> Value {
    json!({"type": "function", "name": "time", "parameters": null, "strict": null})
}

fn conversation() -> Value {
    json!([
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"role": "user", "content": "Weather in Rome and Oslo?"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": replay::seal(PROVIDER, &[json!({"reasoning_content": "Two calls."})])},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [{"type": "output_text", "text": "Looking.", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "weather", "arguments": "{ \"city\":\"Rome\" }"},
        {"type": "function_call", "call_id": "call_b", "name": "weather", "arguments": "{\"city\":\"\\u004fslo\"}"},
        {"type": "function_call_output", "call_id": "call_a", "output": "sun"},
        {"type": "function_call_output", "call_id": "call_b", "output": [{"type": "input_text", "text": "rain"}, {"type": "input_text", "text": "wind"}]},
        {"role": "assistant", "content": "Sun and rain."},
        {"role": "developer", "content": "Now in French."},
        {"role": "user", "content": [{"type": "input_text", "text": "And"}, {"type": "input_text", "text": "Nice?"}]},
    ])
}

fn pictures() -> Value {
    json!([{"role": "user", "content": [
        {"type": "input_text", "text": "Compare."},
        {"type": "input_image", "image_url": "https://a.example/a.png", "detail": "low"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]}])
}

/// Thoughts in the three members in which they come, thoughts of another provider, and thoughts that led nowhere.
fn thoughts() -> Value {
    let sealed = |provider, part: Value| json!({"type": "reasoning", "summary": [], "encrypted_content": replay::seal(provider, &[part])});
    let call = |id| json!({"type": "function_call", "call_id": id, "name": "weather", "arguments": "{}"});
    let output = |id| json!({"type": "function_call_output", "call_id": id, "output": "sun"});
    json!([
        {"role": "user", "content": "Go."},
        sealed(PROVIDER, json!({"reasoning": "First."})), call("call_a"),
        sealed(PROVIDER, json!({"reasoning": "Second."})), call("call_b"),
        output("call_a"), output("call_b"),
        sealed("anthropic", json!({"type": "thinking", "signature": "s"})), {"role": "assistant", "content": "Sun."},
        sealed(PROVIDER, json!({"thinking": "Again."})), {"role": "assistant", "content": "Still sun."},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "not sealed"}]}, call("call_c"), {"role": "assistant", "content": "Once more."}, output("call_c"),
        sealed(PROVIDER, json!({"reasoning_content": "Led nowhere."})),
        {"role": "user", "content": "Go on."},
    ])
}

fn cases() -> Vec<(&'static str, Value)> {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false});
    let tools = json!([weather(), time()]);
    let allowed = |mode: &str| json!({"type": "allowed_tools", "mode": mode, "tools": [{"type": "function", "name": "time"}]});
    vec![
        ("text", json!({"input": "Hi"})),
        ("instructions", json!({"instructions": "Rhyme.", "input": "Hi"})),
        ("conversation", json!({"instructions": "Rhyme.", "input": conversation()})),
        ("pictures", json!({"input": pictures()})),
        ("thoughts", json!({"input": thoughts()})),
        (
            "refused_before",
            json!({"input": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, {"role": "user", "content": "y"}]}),
        ),
        ("calls_at_once", json!({"input": "Hi", "tools": tools, "parallel_tool_calls": false})),
        ("choice_none", json!({"tools": tools, "tool_choice": "none"})),
        ("choice_required", json!({"tools": tools, "tool_choice": "required"})),
        ("choice_function", json!({"tools": tools, "tool_choice": {"type": "function", "name": "time"}})),
        ("choice_allowed", json!({"tools": tools, "tool_choice": allowed("auto")})),
        ("choice_allowed_required", json!({"tools": tools, "tool_choice": allowed("required")})),
        ("choice_without_tools", json!({"tools": [], "tool_choice": "none", "parallel_tool_calls": true})),
        (
            "schema",
            json!({"text": {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": schema, "strict": true}, "verbosity": "low"}}),
        ),
        ("json_object", json!({"text": {"format": {"type": "json_object"}}})),
        (
            "sampling",
            json!({"temperature": 0.5, "top_p": 0.25, "max_output_tokens": 100, "reasoning": {"effort": "high", "summary": "auto"}}),
        ),
        (
            "logprobs",
            json!({"include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "top_logprobs": 0}),
        ),
        ("top_logprobs", json!({"top_logprobs": 3})),
        ("stream", json!({"stream": true})),
        (
            "passed",
            json!({"seed": 7, "stop": ["\n"], "frequency_penalty": 0.5, "top_k": 20, "chat_template_kwargs": {"enable_thinking": false}, "service_tier": "flex"}),
        ),
        (
            "changes_nothing",
            json!({"user": "u", "metadata": {"a": "b"}, "store": false, "background": false, "truncation": "disabled", "service_tier": "auto", "stream_options": {"include_obfuscation": false}, "safety_identifier": "s", "prompt_cache_key": "k", "previous_response_id": null}),
        ),
    ]
}

#[test]
fn every_request_is_asked_in_chats_words() {
    for (name, body) in cases() {
        let call = asked(body).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(call.path, "/chat/completions");
        assert_eq!(call.headers, Vec::new());
        insta::assert_json_snapshot!(format!("asked_{name}"), call.body);
    }
}

#[test]
fn openais_own_models_take_the_newer_limit_and_all_others_the_older() {
    let cases = [
        ("gpt-5.2", true),
        ("gpt-4o-mini", true),
        ("o3", true),
        ("chatgpt-4o-latest", true),
        ("openai/o4-mini", true),
        ("@azure/gpt-4.1", true),
        ("ft:gpt-4o:org::id", true),
        ("gpt-oss-120b", false),
        ("openai/gpt-oss:20b", false),
        ("gpt-j-6b", false),
        ("olmo-3", false),
        ("Qwen/Qwen3-VL-8B-Instruct", false),
        ("mistral-large", false),
        ("", false),
    ];
    for (model, is_newer) in cases {
        let mut request = crate::request::Request::read(&super::object(
            json!({"model": "m", "input": "Hi", "max_output_tokens": 9}),
        ))
        .expect("a request");
        request.model = model.to_owned();
        let body = crate::chat::call(&request).expect("asked").body;
        let (taken, other) = if is_newer {
            ("max_completion_tokens", "max_tokens")
        } else {
            ("max_tokens", "max_completion_tokens")
        };
        assert_eq!((body.get(taken), body.get(other)), (Some(&json!(9)), None), "{model}");
    }
}

#[test]
fn usage_of_a_stream_is_asked_for_but_where_the_server_refuses_that() {
    let cases = [
        ("mistral-large-latest", false),
        ("labs-devstral-small-2512", false),
        ("magistral-medium-2507", false),
        ("mistral-small", true),
        ("mistral:7b", true),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", true),
        ("gpt-5.2", true),
        ("qwen3-vl-latest", true),
    ];
    for (model, is_asked) in cases {
        let body = asked(json!({"model": model, "stream": true})).expect("asked").body;
        let expected = is_asked.then(|| json!({"include_usage": true}));
        assert_eq!(body.get("stream_options"), expected.as_ref(), "{model}");
    }
}

#[test]
fn what_cannot_be_asked_is_refused_by_the_callers_name() {
    let user =
        |part: Value| json!([{"role": "user", "content": [{"type": "input_text", "text": "See."}, part]}]);
    let output = |part: Value| json!([{"role": "user", "content": "Go."}, {"type": "function_call_output", "call_id": "call_a", "output": [part]}]);
    let image = json!({"type": "input_image", "image_url": "https://a.example/a.png"});
    let cases = [
        (
            json!({"input": user(json!({"type": "input_image", "file_id": "file-1"}))}),
            "input[0].content[1].file_id",
        ),
        (
            json!({"input": user(json!({"type": "input_file", "file_url": "https://a.example/a.pdf"}))}),
            "input[0].content[1].file_url",
        ),
        (json!({"input": output(image)}), "input[1].output[0]"),
        (json!({"input": output(json!({"type": "input_file", "file_id": "file-1"}))}), "input[1].output[0]"),
        (json!({"reasoning": {"summary": "detailed"}}), "reasoning.summary"),
        (json!({"store": true}), "store"),
        (json!({"background": true}), "background"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (json!({"models": ["other"]}), "models"),
        (json!({"provider": {"order": []}}), "provider"),
        (json!({"chat_template": "{{ x }}"}), "chat_template"),
        (json!({"web_search_options": {}}), "web_search_options"),
        (json!({"n": 2}), "n"),
    ];
    for (body, param) in cases {
        let refusal = asked(body.clone()).expect_err(&body.to_string());
        assert_eq!((refusal.param.as_str(), refusal.kind), (param, RefusalKind::Unsupported), "{body}");
    }
}
