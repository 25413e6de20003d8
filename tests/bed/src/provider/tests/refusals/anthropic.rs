//! What Anthropic refuses, and what it takes.

use serde_json::{Value, json};

use super::{PNG, exchange, refused, taken};
use crate::provider::Provider;
use crate::provider::tests::speakers::{Speaker, with};

#[tokio::test]
async fn messages_refuse_conversations_that_anthropic_refuses() {
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
        ],
    )
    .await;
}

#[tokio::test]
async fn messages_refuse_tools_sampling_and_schemas_that_anthropic_refuses() {
    let tool = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let format =
        |schema: Value| json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    refused(
        Speaker::Anthropic,
        vec![
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
