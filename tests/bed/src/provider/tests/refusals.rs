//! What the real providers refuse is refused, and what they take is taken: a wrong translation shows here.

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

#[tokio::test]
async fn messages_refuse_what_anthropic_refuses() {
    let said = |content: Value| json!({"thinking": null, "messages": [{"role": "user", "content": content}]});
    let source = |source: Value| said(json!([{"type": "image", "source": source}]));
    let turns = |call: Value, result: Value| {
        json!({"thinking": null, "messages": [
            {"role": "user", "content": "x"}, {"role": "assistant", "content": [call]},
            {"role": "user", "content": result},
        ]})
    };
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "1"});
    let tool = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let format =
        |schema: Value| json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let budget = json!({"type": "enabled", "budget_tokens": 1024});
    refused(
        Speaker::Anthropic,
        vec![
            (json!({"max_tokens": null}), "max_tokens: Field required"),
            (json!({"max_output_tokens": 5}), "max_output_tokens: Extra inputs are not permitted"),
            (json!({"messages": []}), "at least one message is required"),
            (json!({"messages": [{"role": "developer", "content": "x"}]}), "messages.0.role"),
            (json!({"messages": [{"role": "system", "content": "x"}]}), "must follow a 'user' message"),
            (json!({"messages": [{"role": "assistant", "content": "x"}]}), "first message must use"),
            (said(json!("")), "non-empty content"),
            (said(json!([{"type": "text", "text": ""}])), "text content blocks must be non-empty"),
            (said(json!([{"type": "input_text", "text": "x"}])), "messages.0.content.0.type"),
            (source(json!({"type": "base64", "media_type": "image/bmp", "data": PNG})), "media_type"),
            (source(json!({"type": "base64", "media_type": "image/png", "data": "?"})), "invalid base64"),
            (source(json!({"type": "url", "url": "data:image/png;base64,"})), "Only HTTPS"),
            (turns(call("c"), json!("no")), "`tool_use` ids were found without `tool_result`"),
            (turns(call("c"), json!([{"type": "text", "text": "x"}, result("c")])), "immediately after: c"),
            (turns(call("c"), json!([result("c"), result("d")])), "unexpected `tool_use_id`"),
            (turns(call("a.b"), json!([result("a.b")])), "should match pattern"),
            (
                turns(
                    json!({"type": "tool_use", "id": "c", "name": "f", "input": "{}"}),
                    json!([result("c")]),
                ),
                "valid dictionary",
            ),
            (
                json!({"thinking": budget, "messages": turns(call("c"), json!([result("c")]))["messages"]}),
                "must start with a thinking block",
            ),
            (
                turns(json!({"type": "thinking", "thinking": "a", "signature": "b"}), json!("x")),
                "Invalid `signature` in `thinking` block",
            ),
            (json!({"tools": [{"type": "function", "name": "f"}]}), "Input tag 'function'"),
            (json!({"tools": [{"name": "f", "parameters": {}}]}), "Extra inputs"),
            (json!({"tools": [{"name": "f"}]}), "input_schema: Field required"),
            (json!({"tool_choice": {"type": "auto"}}), "while providing tools"),
            (json!({"tools": tool, "tool_choice": {"type": "any"}}), "Thinking may not be enabled"),
            (json!({"tools": tool, "tool_choice": "auto"}), "tool_choice: Input should be"),
            (json!({"temperature": 0.5}), "only be set to 1 when thinking"),
            (json!({"thinking": null, "temperature": 1.5}), "out of range"),
            (json!({"thinking": null, "temperature": 0.5, "top_p": 0.5}), "cannot both be specified"),
            (json!({"thinking": {"type": "enabled", "budget_tokens": 9999}}), "must be greater"),
            (json!({"model": "claude-opus-5-5"}), "\"thinking.type.enabled\" is not supported"),
            (
                json!({"model": "claude-opus-5-5", "thinking": null, "top_p": 0.9}),
                "deprecated for this model",
            ),
            (format(json!({"type": "object", "properties": {}})), "additionalProperties"),
            (format(json!({"type": "integer", "minimum": 1})), "'minimum' is not supported"),
            (
                json!({"output_config": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}),
                "Extra inputs",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn messages_take_all_forms_of_content_and_neighbours_of_one_role() {
    let document = |source: Value| json!({"type": "document", "source": source});
    let image = |source: Value| json!({"type": "image", "source": source});
    let png = json!({"type": "base64", "media_type": "image/png", "data": PNG});
    let url = json!({"type": "url", "url": "https://example.org/a"});
    let pdf = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="});
    let plain = json!({"type": "text", "media_type": "text/plain", "data": "x"});
    let blocks = json!([image(png), image(url.clone()), document(pdf), document(url), document(plain)]);
    let result = |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id}]});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    taken(
        Speaker::Anthropic,
        vec![
            json!({"system": [{"type": "text", "text": "s"}], "messages": [{"role": "user", "content": blocks}]}),
            json!({"thinking": null, "messages": [
                {"role": "user", "content": "x"}, {"role": "assistant", "content": [call("a"), call("b")]},
                result("a"), result("b"), {"role": "system", "content": "now briefly"},
            ]}),
            json!({"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}}}),
            json!({"thinking": {"type": "adaptive"}, "model": "claude-opus-5-5"}),
            json!({"thinking": null, "temperature": 0.5, "stop_sequences": ["x"], "metadata": {"user_id": "u"}}),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_newer_version_of_anthropics_api_has_no_sampling_parameters() {
    let provider = Provider::start().await.expect("start");
    let body = with(Speaker::Anthropic.body(), json!({"thinking": null, "temperature": 1}));
    for (version, status) in [("2023-06-01", "200"), ("2026-10-21", "400"), ("2020-01-01", "400")] {
        let headers = format!("x-api-key: k\r\nanthropic-version: {version}\r\n");
        let raw = exchange(&provider, &Speaker::Anthropic.request_with(&headers, &body, false)).await;
        assert_eq!(raw.status(), status, "{version}: {}", raw.text());
    }
}

#[tokio::test]
async fn gemini_refuses_what_gemini_refuses() {
    let parts = |role: &str, parts: Value| json!({"contents": [{"role": role, "parts": parts}]});
    let part = |part: Value| parts("user", json!([part]));
    let user = json!({"role": "user", "parts": [{"text": "x"}]});
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]});
    let result = |name: &str| json!({"role": "user", "parts": [{"functionResponse": {"name": name, "response": {"a": 1}}}]});
    let config = |config: Value| json!({"generationConfig": config});
    let schema =
        |schema: Value| config(json!({"responseMimeType": "application/json", "responseSchema": schema}));
    let function = |function: Value| json!({"tools": [{"functionDeclarations": [function]}]});
    refused(
        Speaker::Gemini,
        vec![
            (json!({"contents": null}), "contents is not specified"),
            (json!({"messages": []}), "Unknown name \"messages\""),
            (config(json!({"maxTokens": 5})), "Unknown name \"maxTokens\" at 'generationConfig'"),
            (parts("assistant", json!([{"text": "x"}])), "valid role: user, model"),
            (parts("user", json!([])), "must not be empty"),
            (parts("model", json!([{"text": "x"}])), "end with a user role"),
            (part(json!({})), "required oneof field 'data'"),
            (part(json!({"text": "x", "fileData": {"fileUri": "https://x"}})), "required oneof field 'data'"),
            (part(json!({"type": "text", "text": "x"})), "Unknown name \"type\""),
            (part(json!({"inlineData": {"mimeType": "image/png", "data": "?"}})), "Base64 decoding failed"),
            (part(json!({"inlineData": {"mimeType": "font/woff", "data": PNG}})), "Unsupported MIME type"),
            (part(json!({"fileData": {"fileUri": "data:x"}})), "file uri"),
            (part(json!({"text": "x", "thoughtSignature": "c2ln"})), "Corrupted thought signature"),
            (json!({"contents": [user, call]}), "number of function response parts"),
            (json!({"contents": [user, call, result("g")]}), "`g` does not match"),
            (json!({"contents": [user, result("f")]}), "immediately after a function call turn"),
            (
                json!({"contents": [user, call, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": "1"}}]}]}),
                "expected an object",
            ),
            (function(json!({"name": "1f"})), "Invalid function name"),
            (
                function(json!({"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}})),
                "Unknown name \"additionalProperties\"",
            ),
            (function(json!({"name": "f", "parameters": {"type": "object"}})), "should be non-empty"),
            (json!({"toolConfig": {"functionCallingConfig": {"mode": "required"}}}), "Invalid value"),
            (schema(json!({"type": ["string", "null"]})), "Proto field is not repeating"),
            (schema(json!({"type": "array"})), "missing field"),
            (schema(json!({"$schema": "x", "type": "string"})), "Unknown name \"$schema\""),
            (schema(json!({"type": "object", "properties": {}, "required": ["a"]})), "property is not defined"),
            (config(json!({"responseSchema": {"type": "string"}})), "unsupported"),
            (config(json!({"logprobs": 2})), "response_logprobs must be true"),
            (config(json!({"thinkingConfig": {"thinkingLevel": "low", "thinkingBudget": 1}})), "only one of"),
        ],
    )
    .await;
}

#[tokio::test]
async fn gemini_takes_all_forms_of_content_and_both_forms_of_schemas() {
    let png = json!({"inlineData": {"mimeType": "image/png", "data": PNG}});
    let pdf = json!({"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.org/a.pdf"}});
    let open = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "additionalProperties": false});
    let own = json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}, "required": ["a"]});
    let mime = "application/json";
    taken(
        Speaker::Gemini,
        vec![
            json!({"contents": [{"role": "user", "parts": [{"text": "x"}, png, pdf]}]}),
            json!({"systemInstruction": {"parts": [{"text": "s"}]}}),
            json!({"generationConfig": {"responseMimeType": mime, "responseJsonSchema": open}}),
            json!({"generationConfig": {"responseMimeType": mime, "responseSchema": own}}),
            json!({
                "tools": [{"functionDeclarations": [
                    {"name": "f", "parametersJsonSchema": open}, {"name": "g", "parameters": own},
                ]}],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            }),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_gemini_that_signs_its_calls_wants_the_signature_of_the_current_turn_back() {
    let provider = Provider::start().await.expect("start");
    let user = json!({"role": "user", "parts": [{"text": "x"}]});
    let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]});
    let ask = async |model: &str, signature: Value, more: Value| {
        let call = with(json!({"functionCall": {"name": "f"}}), json!({"thoughtSignature": signature}));
        let mut contents = json!([user, {"role": "model", "parts": [call]}, result]);
        contents.as_array_mut().expect("a list").extend(more.as_array().cloned().unwrap_or_default());
        let body = json!({"contents": contents}).to_string();
        let length = body.len();
        let request = format!(
            "POST /v1beta/models/{model}:generateContent?key=k HTTP/1.1\r\nconnection: close\r\ncontent-length: \
             {length}\r\n\r\n{body}"
        );
        let raw = exchange(&provider, request.as_bytes()).await;
        raw.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    };
    let later = json!([{"role": "model", "parts": [{"text": "y"}]}, user]);
    assert!(ask("gemini-3-pro", Value::Null, json!([])).await.contains("missing a thought_signature"));
    assert_eq!(ask("gemini-3-pro", Value::Null, later).await, "");
    assert_eq!(ask("gemini-3-pro", json!("skip_thought_signature_validator"), json!([])).await, "");
    assert_eq!(ask("gemini-2.5-pro", Value::Null, json!([])).await, "");
    assert!(ask("gemini-3-pro", json!("c2ln"), json!([])).await.contains("Corrupted"));
}

#[tokio::test]
async fn a_gemini_stream_that_is_not_asked_for_as_events_is_a_list() {
    let provider = Provider::start().await.expect("start");
    let body = Speaker::Gemini.body().to_string();
    let length = body.len();
    let request = format!(
        "POST /v1beta/models/m:streamGenerateContent HTTP/1.1\r\nx-goog-api-key: k\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let list = exchange(&provider, request.as_bytes()).await.json();
    assert!(list.as_array().is_some_and(|list| list.len() > 2), "{list}");
}
