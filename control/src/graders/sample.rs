//! The `sample` namespace: what a model answered, as graders see it.
//!
//! `output_text` is the text; `output_json` is there if the text is JSON; `output_tools` are the calls of functions, in
//! the shape of Chat Completions, which OpenAI's graders have.

use serde_json::{Map, Value, json};

/// The sample of a text, for grader runs and for data that bring their answers along.
#[must_use]
pub fn of_text(text: &str) -> Value {
    Value::Object(fields(text))
}

/// The sample of an answer of the Responses API.
#[must_use]
pub fn of_response(response: &Value) -> Value {
    let output = || response.get("output").and_then(Value::as_array).into_iter().flatten();
    let kind = |value: &Value| value.get("type").and_then(Value::as_str).map(str::to_owned);
    let parts = output().filter_map(|item| item.get("content").and_then(Value::as_array)).flatten();
    let texts = parts.filter(|part| kind(part).as_deref() == Some("output_text"));
    let text: String = texts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    let calls: Vec<Value> =
        output().filter(|item| kind(item).as_deref() == Some("function_call")).map(call).collect();
    let mut fields = fields(&text);
    if !calls.is_empty() {
        fields.insert("output_tools".to_owned(), calls.into());
    }
    Value::Object(fields)
}

fn fields(text: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("output_text".to_owned(), text.into());
    if let Ok(json) = serde_json::from_str(text) {
        fields.insert("output_json".to_owned(), json);
    }
    fields
}

fn call(item: &Value) -> Value {
    let field = |name: &str| item.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "id": field("call_id"),
        "type": "function",
        "function": {"name": field("name"), "arguments": field("arguments")},
    })
}
