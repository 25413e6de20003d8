//! The messages of a chat request, as items.
//!
//! Invariant: a message becomes its thoughts, what it says and its calls, in this order, next to each other.

use super::places::Place;
use crate::{call::Refusal, chat, replay};
use serde_json::{Map, Value, json};

/// Hints to caches, which change nothing in the answer.
const CACHE_HINTS: [&str; 2] = ["cache_control", "prompt_cache_breakpoint"];
/// What SDKs leave in a message of the model that they give back, and that says nothing new.
const LEFT_OVERS: [&str; 3] = ["annotations", "id", "parsed"];

/// Items, and where each was.
#[derive(Debug, Default)]
pub struct Conversation {
    /// The items of `input`.
    pub items: Vec<Value>,
    /// What each was made from.
    pub places: Vec<Place>,
    /// The id made for the last `function_call`, which has none in chat.
    function_call_id: Option<String>,
}

impl Conversation {
    /// Reads the message at `index`.
    pub fn message(&mut self, index: usize, message: &Value) -> Result<(), Refusal> {
        let path = format!("messages[{index}]");
        let Some(message) = message.as_object() else {
            return Err(Refusal::invalid(path, "A message is an object."));
        };
        match message.get("role").and_then(Value::as_str) {
            Some(role @ ("system" | "developer" | "user")) => {
                only(message, &path, &["role", "content"])?;
                let content = content(message, &format!("{path}.content"))?;
                self.push(
                    Place::Message(index),
                    json!({"type": "message", "role": role, "content": content}),
                );
                Ok(())
            }
            Some("assistant") => self.assistant(index, message, &path),
            Some("tool") => {
                only(message, &path, &["role", "content", "tool_call_id"])?;
                let id = required_text(message.get("tool_call_id"), &format!("{path}.tool_call_id"))?;
                self.output(index, id, message, &path)
            }
            Some("function") => {
                only(message, &path, &["role", "content", "name"])?;
                let Some(id) = self.function_call_id.take() else {
                    return Err(Refusal::invalid(path, "The `function_call` that this answers is missing."));
                };
                self.output(index, &id, message, &path)
            }
            _ => Err(Refusal::invalid(
                format!("{path}.role"),
                "The role is `system`, `developer`, `user`, `assistant`, `tool` or `function`.",
            )),
        }
    }

    fn push(&mut self, place: Place, item: Value) {
        self.places.push(place);
        self.items.push(item);
    }

    fn output(
        &mut self,
        index: usize,
        id: &str,
        message: &Map<String, Value>,
        path: &str,
    ) -> Result<(), Refusal> {
        let output = content(message, &format!("{path}.content"))?;
        let item = json!({"type": "function_call_output", "call_id": id, "output": output});
        self.push(Place::Output(index), item);
        Ok(())
    }

    fn assistant(&mut self, index: usize, message: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
        let known =
            ["role", "content", "refusal", "tool_calls", "function_call", "reasoning_content", "reasoning"];
        only(message, path, &[&known[..], &LEFT_OVERS[..]].concat())?;
        self.thoughts(index, message, path)?;
        if let Some(content) = said(message, path)? {
            self.push(
                Place::Message(index),
                json!({"type": "message", "role": "assistant", "content": content}),
            );
        }
        let calls = given(message, "tool_calls");
        if let Some(calls) = calls {
            let Some(calls) = calls.as_array() else {
                return Err(Refusal::invalid(format!("{path}.tool_calls"), "`tool_calls` is a list."));
            };
            for (number, call) in calls.iter().enumerate() {
                let item = tool_call(call, &format!("{path}.tool_calls[{number}]"))?;
                self.push(Place::Call(index, number), item);
            }
        }
        if let Some(call) = given(message, "function_call") {
            let id = format!("call_{index}");
            let item = function_call(&id, call, &format!("{path}.function_call"))?;
            self.push(Place::FunctionCall(index), item);
            self.function_call_id = Some(id);
        }
        Ok(())
    }

    /// The first member that holds text counts: some servers say the same thoughts in both. Which of them the provider
    /// reads is not known here, so they are for both.
    fn thoughts(&mut self, index: usize, message: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
        for member in ["reasoning_content", "reasoning"] {
            match given(message, member) {
                None => {}
                Some(Value::String(text)) if text.is_empty() => {}
                Some(Value::String(text)) => {
                    let part = json!({"reasoning_content": text, "reasoning": text});
                    let sealed = replay::seal(chat::PROVIDER, &[part]);
                    let item = json!({"type": "reasoning", "summary": [], "encrypted_content": sealed});
                    self.push(Place::Thoughts(index), item);
                    return Ok(());
                }
                Some(_) => return Err(Refusal::invalid(format!("{path}.{member}"), "Thoughts are text.")),
            }
        }
        Ok(())
    }
}

/// What the model said: text, and what it refused. Text alone stays a string: parts of an answer would want their ids.
fn said(message: &Map<String, Value>, path: &str) -> Result<Option<Value>, Refusal> {
    let refusal = given(message, "refusal");
    let mut parts = match given(message, "content") {
        None => Vec::new(),
        Some(Value::String(text)) if refusal.is_none() => return Ok(Some(text.clone().into())),
        Some(Value::String(text)) => vec![json!({"type": "output_text", "text": text})],
        Some(Value::Array(parts)) => parts
            .iter()
            .enumerate()
            .map(|(index, part)| said_part(part, &format!("{path}.content[{index}]")))
            .collect::<Result<_, _>>()?,
        Some(_) => {
            return Err(Refusal::invalid(format!("{path}.content"), "Content is text, or a list of parts."));
        }
    };
    if let Some(refusal) = refusal {
        let refusal = required_text(Some(refusal), &format!("{path}.refusal"))?;
        parts.push(json!({"type": "refusal", "refusal": refusal}));
    }
    Ok((!parts.is_empty()).then(|| parts.into()))
}

fn said_part(part: &Value, path: &str) -> Result<Value, Refusal> {
    let text = |name: &str| required_text(part.get(name), &format!("{path}.{name}"));
    match part.get("type").and_then(Value::as_str) {
        Some("text") => Ok(json!({"type": "output_text", "text": text("text")?})),
        Some("refusal") => Ok(json!({"type": "refusal", "refusal": text("refusal")?})),
        _ => Err(Refusal::invalid(format!("{path}.type"), "The model's parts are `text` and `refusal`.")),
    }
}

fn tool_call(call: &Value, path: &str) -> Result<Value, Refusal> {
    if call.get("type").is_some_and(|kind| kind != "function") {
        return Err(Refusal::unsupported(format!("{path}.type"), "Only calls of functions are served."));
    }
    let id = required_text(call.get("id"), &format!("{path}.id"))?;
    function_call(id, call.get("function").unwrap_or(&Value::Null), &format!("{path}.function"))
}

fn function_call(id: &str, function: &Value, path: &str) -> Result<Value, Refusal> {
    let text = |name: &str| required_text(function.get(name), &format!("{path}.{name}"));
    Ok(
        json!({"type": "function_call", "call_id": id, "name": text("name")?, "arguments": text("arguments")?}),
    )
}

/// What somebody else said.
fn content(message: &Map<String, Value>, path: &str) -> Result<Value, Refusal> {
    match message.get("content") {
        Some(Value::String(text)) => Ok(text.clone().into()),
        Some(Value::Array(parts)) => parts
            .iter()
            .enumerate()
            .map(|(index, part)| input_part(part, &format!("{path}[{index}]")))
            .collect(),
        _ => Err(Refusal::invalid(path, "Content is text, or a list of parts.")),
    }
}

fn input_part(part: &Value, path: &str) -> Result<Value, Refusal> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    if !["text", "image_url", "input_audio", "file"].contains(&kind) {
        let message = "A part is of type `text`, `image_url`, `input_audio` or `file`.";
        return Err(Refusal::invalid(format!("{path}.type"), message));
    }
    let outer = part.as_object().ok_or_else(|| Refusal::invalid(path, "A part is an object."))?;
    only(outer, path, &[&["type", kind][..], &CACHE_HINTS[..]].concat())?;
    if kind == "text" {
        return Ok(
            json!({"type": "input_text", "text": required_text(part.get("text"), &format!("{path}.text"))?}),
        );
    }
    let path = format!("{path}.{kind}");
    let Some(inner) = part.get(kind).and_then(Value::as_object) else {
        return Err(Refusal::invalid(path, "This is an object."));
    };
    match kind {
        "image_url" => {
            only(inner, &path, &["url", "detail"])?;
            let url = required_text(inner.get("url"), &format!("{path}.url"))?;
            let detail = given(inner, "detail").cloned().unwrap_or_else(|| "auto".into());
            Ok(json!({"type": "input_image", "image_url": url, "detail": detail}))
        }
        "file" => {
            only(inner, &path, &["file_data", "file_id", "filename"])?;
            let mut flat: Map<String, Value> = inner.clone();
            flat.retain(|_, value| !value.is_null());
            flat.insert("type".into(), "input_file".into());
            Ok(flat.into())
        }
        _ => Ok(json!({"type": "input_audio", "input_audio": inner})),
    }
}

/// A member that is there and not null.
pub fn given<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

/// A member that has to be a text.
pub fn required_text<'a>(value: Option<&'a Value>, path: &str) -> Result<&'a str, Refusal> {
    value.and_then(Value::as_str).ok_or_else(|| Refusal::invalid(path, "This is a text."))
}

/// Refuses members that would be lost.
pub fn only(object: &Map<String, Value>, path: &str, known: &[&str]) -> Result<(), Refusal> {
    match object.iter().find(|(name, value)| !value.is_null() && !known.contains(&name.as_str())) {
        Some((name, _)) => {
            Err(Refusal::unsupported(format!("{path}.{name}"), format!("`{name}` cannot be served here.")))
        }
        None => Ok(()),
    }
}
