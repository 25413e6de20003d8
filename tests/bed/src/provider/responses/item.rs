//! The output items of a response: reasoning, then the message, then the calls of functions.
//!
//! Invariant: an item as it is added and as it is done have the same id.

use serde_json::{Value, json};

use super::Asked;
use crate::provider::answer::id;
use crate::provider::knobs::Terminal;
use crate::provider::script::{Script, arguments_pieces, openai_logprob};
use crate::provider::seal::seal;

/// An item, and what leads to it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) added: Value,
    pub(super) done: Value,
    pub(super) content: Content,
}

/// The pieces of an item.
#[derive(Debug)]
pub(super) enum Content {
    /// Of the summary, if one was asked for.
    Reasoning(Option<Vec<String>>),
    Message(Vec<Part>),
    Call(Vec<String>),
}

/// A part of a message.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) is_refusal: bool,
    pub(super) pieces: Vec<String>,
    pub(super) logprobs: Vec<Value>,
}

impl Part {
    /// The part with this text.
    pub(super) fn with(&self, text: &str, logprobs: &[Value]) -> Value {
        if self.is_refusal {
            json!({"type": "refusal", "refusal": text})
        } else {
            json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs})
        }
    }
}

/// The items of a script. Only the last is incomplete if the response is.
pub(super) fn of(script: &Script, asked: Asked) -> Vec<Item> {
    let mut items = Vec::new();
    if !script.reasoning.is_empty() {
        items.push(reasoning(script, asked));
    }
    let parts = parts(script, asked);
    if !parts.is_empty() {
        items.push(message(parts));
    }
    items.extend(script.calls.iter().map(|call| {
        let id = id("fc_");
        let call_id = call.id.clone().unwrap_or_else(|| crate::provider::answer::id("call_"));
        let with = |status: &str, arguments: &str| {
            json!({
                "id": id, "type": "function_call", "status": status, "call_id": call_id,
                "name": call.name, "arguments": arguments,
            })
        };
        let (added, done) = (with("in_progress", ""), with("completed", &call.arguments));
        Item { id, added, done, content: Content::Call(arguments_pieces(call)) }
    }));
    if let Some(last) = items.last_mut().filter(|last| last.done.get("status").is_some()) {
        last.done["status"] = status(script.terminal).into();
    }
    items
}

fn status(terminal: Terminal) -> &'static str {
    if terminal == Terminal::Completed { "completed" } else { "incomplete" }
}

fn reasoning(script: &Script, asked: Asked) -> Item {
    let id = id("rs_");
    let text = script.reasoning.concat();
    let with = |summary: Value, encrypted: Option<String>| {
        let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
        if let Some(encrypted) = encrypted.filter(|_| asked.encrypted) {
            item["encrypted_content"] = encrypted.into();
        }
        item
    };
    let summary = if asked.summary { json!([{"type": "summary_text", "text": text}]) } else { json!([]) };
    let (added, done) = (with(json!([]), Some(String::new())), with(summary, Some(seal("openai", &text))));
    let content = Content::Reasoning(asked.summary.then(|| script.reasoning.clone()));
    Item { id, added, done, content }
}

fn message(parts: Vec<Part>) -> Item {
    let id = id("msg_");
    let with = |status: &str, content: Vec<Value>| json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content});
    let content = parts.iter().map(|part| part.with(&part.pieces.concat(), &part.logprobs)).collect();
    let (added, done) = (with("in_progress", Vec::new()), with("completed", content));
    Item { id, added, done, content: Content::Message(parts) }
}

fn parts(script: &Script, asked: Asked) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(pieces) = script.text.clone() {
        let logprobs = asked.logprobs.map(|top| {
            pieces.iter().enumerate().map(|(index, piece)| openai_logprob(index, piece, top)).collect()
        });
        parts.push(Part { is_refusal: false, pieces, logprobs: logprobs.unwrap_or_default() });
    }
    if !script.refusal.is_empty() {
        parts.push(Part { is_refusal: true, pieces: script.refusal.clone(), logprobs: Vec::new() });
    }
    parts
}
