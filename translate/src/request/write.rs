//! Writes a request body, for a provider that speaks the Responses protocol itself.
//!
//! Invariant: what is written is read back as the same request.

use super::{Format, Request, Tool, ToolChoice};
use crate::item::{Content, Item, Role, Source};
use serde_json::{Map, Value, json};

impl Request {
    /// As a request body. Members that are at their default are left out.
    #[must_use]
    pub fn write(&self) -> Map<String, Value> {
        let mut body = self.other.clone();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("model", Some(json!(self.model)));
        put("input", Some(self.input.iter().map(item).collect()));
        put("instructions", self.instructions.as_ref().map(|text| json!(text)));
        put("tools", (!self.tools.is_empty()).then(|| self.tools.iter().map(tool).collect()));
        put("tool_choice", (self.tool_choice != ToolChoice::Auto).then(|| choice(&self.tool_choice)));
        put("parallel_tool_calls", self.parallel_tool_calls.map(Value::from));
        put("text", self.text());
        put("reasoning", pairs(&[("effort", &self.effort), ("summary", &self.summary)]));
        put("max_output_tokens", self.max_output_tokens.map(Value::from));
        put("temperature", self.temperature.map(Value::from));
        put("top_p", self.top_p.map(Value::from));
        put("top_logprobs", self.top_logprobs.map(Value::from));
        put("include", (!self.include.is_empty()).then(|| json!(self.include)));
        put("stream", self.stream.then_some(Value::Bool(true)));
        body
    }

    fn text(&self) -> Option<Value> {
        let mut text = Map::new();
        if self.format != Format::Text {
            text.insert("format".into(), format(&self.format));
        }
        if let Some(verbosity) = &self.verbosity {
            text.insert("verbosity".into(), json!(verbosity));
        }
        (!text.is_empty()).then_some(Value::Object(text))
    }
}

/// The members that are there; none if none is.
fn pairs(members: &[(&str, &Option<String>)]) -> Option<Value> {
    let there = |(name, value): &(&str, &Option<String>)| Some(((*name).to_owned(), json!(value.as_ref()?)));
    let map: Map<String, Value> = members.iter().filter_map(there).collect();
    (!map.is_empty()).then_some(Value::Object(map))
}

/// A response format, as requests have it and responses show it.
pub(crate) fn format(format: &Format) -> Value {
    match format {
        Format::Text => json!({"type": "text"}),
        Format::JsonObject => json!({"type": "json_object"}),
        Format::JsonSchema { name, description, schema, strict } => json!({
            "type": "json_schema", "name": name, "description": description, "schema": schema, "strict": strict,
        }),
    }
}

/// A tool, as requests have it and responses show it.
pub(crate) fn tool(tool: &Tool) -> Value {
    json!({
        "type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters,
        "strict": tool.strict,
    })
}

/// A choice of tools, as requests have it and responses show it.
pub(crate) fn choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Function(name) => json!({"type": "function", "name": name}),
        ToolChoice::Allowed { required, names } => {
            let tools: Value = names.iter().map(|name| json!({"type": "function", "name": name})).collect();
            json!({"type": "allowed_tools", "mode": if *required { "required" } else { "auto" }, "tools": tools})
        }
    }
}

fn item(item: &Item) -> Value {
    match item {
        Item::Message(message) => {
            let content: Value = message.content.iter().map(|part| content(part, message.role)).collect();
            json!({"type": "message", "role": role(message.role), "content": content})
        }
        Item::FunctionCall(call) => json!({
            "type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments,
        }),
        Item::FunctionCallOutput(output) => {
            let parts: Value = output.output.iter().map(|part| content(part, Role::User)).collect();
            let text = match output.output.as_slice() {
                [Content::Text(text)] => Some(json!(text)),
                _ => None,
            };
            json!({"type": "function_call_output", "call_id": output.call_id, "output": text.unwrap_or(parts)})
        }
        Item::Reasoning(reasoning) => {
            let part = |kind: &'static str| move |text: &String| json!({"type": kind, "text": text});
            let mut item = json!({
                "type": "reasoning", "summary": reasoning.summary.iter().map(part("summary_text")).collect::<Value>(),
                "encrypted_content": reasoning.sealed,
            });
            if let (false, Some(item)) = (reasoning.text.is_empty(), item.as_object_mut()) {
                let text = reasoning.text.iter().map(part("reasoning_text")).collect();
                item.insert("content".into(), text);
            }
            item
        }
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::System => "system",
        Role::Developer => "developer",
    }
}

fn content(part: &Content, role: Role) -> Value {
    match part {
        Content::Text(text) if role == Role::Assistant => {
            json!({"type": "output_text", "text": text, "annotations": []})
        }
        Content::Text(text) => json!({"type": "input_text", "text": text}),
        Content::Refusal(refusal) => json!({"type": "refusal", "refusal": refusal}),
        Content::Image { source, detail } => {
            let source = match source {
                Source::FileId(id) => ("file_id", json!(id)),
                _ => ("image_url", json!(url(source))),
            };
            let detail = detail.as_ref().map(|detail| ("detail", json!(detail)));
            of_type("input_image", [source].into_iter().chain(detail))
        }
        Content::File { source, name } => {
            let (member, value) = match source {
                Source::FileId(id) => ("file_id", id.clone()),
                Source::Url(url) => ("file_url", url.clone()),
                Source::Inline { .. } => ("file_data", url(source)),
            };
            let name = name.as_ref().map(|name| ("filename", json!(name)));
            of_type("input_file", [(member, json!(value))].into_iter().chain(name))
        }
        Content::Audio { base64, format } => {
            json!({"type": "input_audio", "input_audio": {"data": base64, "format": format}})
        }
    }
}

fn of_type<'a>(kind: &str, members: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let members = members.chain([("type", json!(kind))]);
    Value::Object(members.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// An image's or file's bytes as a URL.
fn url(source: &Source) -> String {
    match source {
        Source::Url(url) | Source::FileId(url) => url.clone(),
        Source::Inline { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
    }
}
