//! What Gemini refuses, and what it takes.

use serde_json::{Value, json};

use super::{PNG, exchange, refused, taken};
use crate::provider::Provider;
use crate::provider::tests::speakers::{Speaker, with};

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
