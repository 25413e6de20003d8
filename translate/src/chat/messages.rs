//! The conversation as messages: what the model said in a row, and the calls that it made, are one message.
//!
//! Invariant: an output follows the message that holds its call, with nothing in between that was not there before.

use super::{PROVIDER, THINKING, THOUGHTS};
use crate::{
    call::Refusal,
    item::{Content, FunctionCall, FunctionCallOutput, Item, Message, Reasoning, Role, Source},
    replay,
    request::Request,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Between instructions that become one message.
const BETWEEN_INSTRUCTIONS: &str = "\n\n";

/// The messages.
pub fn messages(request: &Request) -> Result<Vec<Value>, Refusal> {
    let mut written =
        Written { opening: request.instructions.iter().cloned().collect(), ..Written::default() };
    for (index, item) in request.input.iter().enumerate() {
        let path = format!("input[{index}]");
        match item {
            Item::Message(message) if message.role == Role::Assistant => {
                written.end_opening();
                written.assistant(assistant_parts(&message.content, &path)?);
            }
            Item::Message(message) => written.message(message, &path)?,
            Item::FunctionCall(call) => {
                written.end_opening();
                written.turn.calls.push(function_call(call));
            }
            Item::FunctionCallOutput(output) => {
                let message = function_call_output(output, &path)?;
                written.push(message);
            }
            Item::Reasoning(reasoning) => {
                written.end_opening();
                written.think(reasoning);
            }
        }
    }
    written.end_opening();
    written.end_turn();
    Ok(written.messages)
}

/// What has been written so far, and what is open.
#[derive(Default)]
struct Written {
    messages: Vec<Value>,
    /// Instructions and system messages before anything else.
    opening: Vec<String>,
    turn: Turn,
}

impl Written {
    fn push(&mut self, message: Value) {
        self.end_opening();
        self.end_turn();
        self.messages.push(message);
    }

    /// A message of anybody but the model.
    fn message(&mut self, message: &Message, path: &str) -> Result<(), Refusal> {
        let is_system = message.role != Role::User;
        let parts = parts(&message.content, path)?;
        let is_opening = is_system && self.messages.is_empty() && self.turn.is_empty();
        if let Some(text) = all_text(&message.content).filter(|_| is_opening) {
            self.opening.push(text);
            return Ok(());
        }
        let role = if is_system { "system" } else { "user" };
        self.push(json!({"role": role, "content": content(parts)}));
        Ok(())
    }

    /// A message of the model. After calls whose outputs are still to come it joins them: nothing may come in between.
    fn assistant(&mut self, mut parts: Vec<Value>) {
        if self.turn.content.is_some() && self.turn.calls.is_empty() {
            self.end_turn();
        }
        self.turn.content.get_or_insert_default().append(&mut parts);
    }

    /// Thoughts belong to what follows them; between calls that were made at once, to all of these.
    fn think(&mut self, reasoning: &Reasoning) {
        if self.turn.content.is_some() && self.turn.calls.is_empty() {
            self.end_turn();
        }
        self.turn.think(reasoning);
    }

    fn end_opening(&mut self) {
        if !self.opening.is_empty() {
            let text = std::mem::take(&mut self.opening).join(BETWEEN_INSTRUCTIONS);
            self.messages.push(json!({"role": "system", "content": text}));
        }
    }

    fn end_turn(&mut self) {
        self.messages.extend(std::mem::take(&mut self.turn).message());
    }
}

/// What the model says before somebody else speaks.
#[derive(Default)]
struct Turn {
    /// By the member in which they came.
    thoughts: BTreeMap<&'static str, String>,
    content: Option<Vec<Value>>,
    calls: Vec<Value>,
}

impl Turn {
    fn is_empty(&self) -> bool {
        self.content.is_none() && self.calls.is_empty()
    }

    fn think(&mut self, reasoning: &Reasoning) {
        let parts = reasoning.sealed.as_deref().and_then(|sealed| replay::open(PROVIDER, sealed));
        for part in parts.iter().flatten() {
            let members = THOUGHTS.into_iter().chain([THINKING]);
            for (member, text) in members.filter_map(|member| Some((member, part.get(member)?.as_str()?))) {
                self.thoughts.entry(member).or_default().push_str(text);
            }
        }
    }

    /// Thoughts alone are no message: what they led to was not given back.
    fn message(mut self) -> Option<Value> {
        if self.is_empty() {
            return None;
        }
        if let Some(text) = self.thoughts.remove(THINKING) {
            let part = json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]});
            self.content.get_or_insert_default().insert(0, part);
        }
        let mut message: Map<String, Value> =
            self.thoughts.into_iter().map(|(member, text)| (member.into(), text.into())).collect();
        message.insert("role".into(), "assistant".into());
        message.insert("content".into(), self.content.map_or(Value::Null, content));
        if !self.calls.is_empty() {
            message.insert("tool_calls".into(), self.calls.into());
        }
        Some(message.into())
    }
}

fn function_call(call: &FunctionCall) -> Value {
    json!({
        "id": call.call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    })
}

fn function_call_output(output: &FunctionCallOutput, path: &str) -> Result<Value, Refusal> {
    for (index, part) in output.output.iter().enumerate() {
        if !matches!(part, Content::Text(_)) {
            let message =
                "This provider takes only text from a function. Say it in a message of the user instead.";
            return Err(Refusal::unsupported(format!("{path}.output[{index}]"), message));
        }
    }
    let parts = parts(&output.output, path)?;
    Ok(json!({"role": "tool", "tool_call_id": output.call_id, "content": content(parts)}))
}

/// One text is a plain string, which every server understands; anything else is a list.
fn content(mut parts: Vec<Value>) -> Value {
    match parts.as_mut_slice() {
        [] => "".into(),
        [part] if part.get("type").is_some_and(|kind| kind == "text") => {
            part.get_mut("text").map(Value::take).unwrap_or_default()
        }
        _ => parts.into(),
    }
}

fn all_text(content: &[Content]) -> Option<String> {
    content
        .iter()
        .map(|part| match part {
            Content::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

fn assistant_parts(content: &[Content], path: &str) -> Result<Vec<Value>, Refusal> {
    let is_said = |part: &Content| matches!(part, Content::Text(_) | Content::Refusal(_));
    match content.iter().position(|part| !is_said(part)) {
        Some(index) => Err(Refusal::unsupported(
            format!("{path}.content[{index}]"),
            "This provider takes only text and refusals of the model.",
        )),
        None => parts(content, path),
    }
}

fn parts(content: &[Content], path: &str) -> Result<Vec<Value>, Refusal> {
    content
        .iter()
        .enumerate()
        .map(|(index, part)| written_part(part, &format!("{path}.content[{index}]")))
        .collect()
}

fn written_part(part: &Content, path: &str) -> Result<Value, Refusal> {
    Ok(match part {
        Content::Text(text) => json!({"type": "text", "text": text}),
        Content::Refusal(refusal) => json!({"type": "refusal", "refusal": refusal}),
        Content::Image { source, detail } => image(source, detail.as_deref(), path)?,
        Content::File { source, name } => file(source, name.as_deref(), path)?,
        Content::Audio { base64, format } => {
            json!({"type": "input_audio", "input_audio": {"data": base64, "format": format}})
        }
    })
}

fn image(source: &Source, detail: Option<&str>, path: &str) -> Result<Value, Refusal> {
    let url = match source {
        Source::Url(url) => url.clone(),
        Source::Inline { media_type, base64 } => data_url(media_type, base64),
        Source::FileId(_) => {
            let message = "This provider takes images by URL only. Give `image_url`, e.g. a data URL.";
            return Err(Refusal::unsupported(format!("{path}.file_id"), message));
        }
    };
    let mut image_url = json!({"url": url});
    if let (Some(image_url), Some(detail)) = (image_url.as_object_mut(), detail) {
        image_url.insert("detail".into(), detail.into());
    }
    Ok(json!({"type": "image_url", "image_url": image_url}))
}

fn file(source: &Source, name: Option<&str>, path: &str) -> Result<Value, Refusal> {
    let mut file = Map::new();
    match source {
        Source::Inline { media_type, base64 } => {
            file.insert("file_data".into(), data_url(media_type, base64).into())
        }
        Source::FileId(id) => file.insert("file_id".into(), id.clone().into()),
        Source::Url(_) => {
            let message = "This provider fetches no files. Give `file_data`.";
            return Err(Refusal::unsupported(format!("{path}.file_url"), message));
        }
    };
    if let Some(name) = name {
        file.insert("filename".into(), name.into());
    }
    Ok(json!({"type": "file", "file": file}))
}

fn data_url(media_type: &str, base64: &str) -> String {
    format!("data:{media_type};base64,{base64}")
}
