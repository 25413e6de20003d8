//! The adapter's tests, and what they share: the smallest request, and answers by their events.
//!
//! Invariant: what is built here is the same every time, so that golden files differ only where the adapter does.

mod answers;
mod errors;
mod properties;
mod refusals;
mod requests;
mod thoughts;
mod tools;

use super::{Reader, call};
use crate::{
    call::{Malformed, Refusal},
    fact::Fact,
    item::{Content, FunctionCall, FunctionCallOutput, Item, Message, Reasoning, Role, Source},
    request::{Format, Request, Tool, ToolChoice},
    sse,
};
use serde_json::{Map, Value, json};

/// A model that thinks adaptively.
const MODEL: &str = "claude-opus-5";
/// A model that thinks within a budget only.
const OLD_MODEL: &str = "claude-sonnet-4-5-20250929";

fn request(input: Vec<Item>) -> Request {
    Request {
        model: MODEL.into(),
        input,
        instructions: None,
        tools: vec![],
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: None,
        format: Format::Text,
        verbosity: None,
        effort: None,
        summary: None,
        max_output_tokens: None,
        temperature: None,
        top_p: None,
        top_logprobs: None,
        include: vec![],
        stream: false,
        other: Map::new(),
    }
}

fn hello() -> Request {
    request(vec![user("Hello")])
}

fn body(request: &Request) -> Value {
    call(request).unwrap().body
}

fn refused(request: &Request) -> Refusal {
    call(request).unwrap_err()
}

fn said(role: Role, content: Vec<Content>) -> Item {
    Item::Message(Message { role, content })
}

fn text(text: &str) -> Content {
    Content::Text(text.into())
}

fn user(said_text: &str) -> Item {
    said(Role::User, vec![text(said_text)])
}

fn assistant(said_text: &str) -> Item {
    said(Role::Assistant, vec![text(said_text)])
}

fn function_call(call_id: &str, name: &str, arguments: &str) -> Item {
    Item::FunctionCall(FunctionCall {
        call_id: call_id.into(),
        name: name.into(),
        arguments: arguments.into(),
    })
}

fn output(call_id: &str, output: Vec<Content>) -> Item {
    Item::FunctionCallOutput(FunctionCallOutput { call_id: call_id.into(), output })
}

fn sealed(provider: &str, blocks: &[Value]) -> Item {
    let sealed = Some(crate::replay::seal(provider, blocks));
    Item::Reasoning(Reasoning { summary: vec!["I look it up.".into()], text: vec![], sealed })
}

fn inline(media_type: &str, base64: &str) -> Source {
    Source::Inline { media_type: media_type.into(), base64: base64.into() }
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.into(),
        description: Some(format!("Gives the {name}.")),
        parameters: Some(json!({"type": "object", "properties": {"city": {"type": "string"}}})),
        strict: None,
    }
}

/// Reads events, each by its data; their names are their types, as the API has it.
fn read(events: &[Value]) -> Result<Vec<Fact>, Malformed> {
    let mut reader = Reader::default();
    let mut facts = Vec::new();
    for data in events {
        let name = data["type"].as_str().unwrap_or(sse::DEFAULT_NAME).to_owned();
        facts.extend(reader.event(&sse::Event { name, data: data.to_string() })?);
    }
    Ok(facts)
}

fn message_start() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": MODEL,
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 12, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000, "output_tokens": 1},
    }})
}

fn start(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn message_delta(reason: &str) -> Value {
    json!({
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 25}},
    })
}

fn message_stop() -> Value {
    json!({"type": "message_stop"})
}

/// The events of an answer with these blocks' events that ends for this reason.
fn answer(blocks: Vec<Value>, reason: &str) -> Vec<Value> {
    let mut events = vec![message_start(), json!({"type": "ping"})];
    events.extend(blocks);
    events.extend([message_delta(reason), message_stop()]);
    events
}
