//! Reads the conversation: a string, or items.
//!
//! What only labels an item of the past (`id`, `status`, `phase`; of text `annotations`, `logprobs` and what SDKs parsed of it) is
//! passed over: no provider can be told it, and it changes nothing in what was said.
//!
//! Invariant: an item is read whole or refused by the path of what cannot be read.

use super::content;
use crate::{
    call::Refusal,
    item::{FunctionCall, FunctionCallOutput, Item, Message, Reasoning, Role},
    members::{Members, wrong},
};
use serde_json::Value;

pub(super) fn read(members: &Members<'_>) -> Result<Vec<Item>, Refusal> {
    match members.get("input") {
        Some(Value::String(text)) => {
            Ok(vec![Item::Message(Message { role: Role::User, content: content::of_text(text) })])
        }
        Some(Value::Array(items)) if items.is_empty() => {
            Err(Refusal::invalid("input", "must have at least one item"))
        }
        Some(Value::Array(items)) => items.iter().enumerate().map(item).collect(),
        Some(value) => Err(wrong("input".into(), "a string or an array", value)),
        None => Err(members.missing("input", "a string or an array")),
    }
}

fn item((at, value): (usize, &Value)) -> Result<Item, Refusal> {
    let item = Members::of(value, format!("input[{at}]"))?;
    match item.text("type")? {
        Some("message") => message(&item),
        None if item.get("role").is_some() => message(&item),
        Some("function_call") => call(&item),
        Some("function_call_output") => output(&item),
        Some("reasoning") => reasoning(&item),
        None if item.get("id").is_none() => Err(item.missing("type", "a string")),
        Some("item_reference") | None => Err(Refusal::unsupported(
            item.here(),
            "items can be referred to only where their provider keeps them; send the item itself",
        )),
        Some(kind) => Err(Refusal::unsupported(
            item.path("type"),
            format!("an item of type {kind} can be asked of no provider but its own"),
        )),
    }
}

fn message(item: &Members<'_>) -> Result<Item, Refusal> {
    item.only(&["type", "role", "content", "id", "status", "phase"])?;
    item.one_of("phase", &["commentary", "final_answer"])?;
    let role = match item.one_of("role", &["user", "assistant", "system", "developer"])? {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(_) => Role::Developer,
        None => return Err(item.missing("role", "a string")),
    };
    let content = content::read(item, "content")?;
    content::fits(&content, role, &item.path("content"))?;
    Ok(Item::Message(Message { role, content }))
}

fn call(item: &Members<'_>) -> Result<Item, Refusal> {
    item.only(&["type", "call_id", "name", "arguments", "id", "status", "parsed_arguments"])?;
    Ok(Item::FunctionCall(FunctionCall {
        call_id: filled(item, "call_id")?,
        name: filled(item, "name")?,
        arguments: item.needed_text("arguments")?.to_owned(),
    }))
}

fn output(item: &Members<'_>) -> Result<Item, Refusal> {
    item.only(&["type", "call_id", "output", "id", "status"])?;
    let output = content::read(item, "output")?;
    content::fits(&output, Role::User, &item.path("output"))?;
    Ok(Item::FunctionCallOutput(FunctionCallOutput { call_id: filled(item, "call_id")?, output }))
}

fn filled(item: &Members<'_>, name: &str) -> Result<String, Refusal> {
    match item.needed_text(name)? {
        "" => Err(Refusal::invalid(item.path(name), "must not be empty")),
        text => Ok(text.to_owned()),
    }
}

fn reasoning(item: &Members<'_>) -> Result<Item, Refusal> {
    item.only(&["type", "summary", "content", "encrypted_content", "id", "status"])?;
    Ok(Item::Reasoning(Reasoning {
        summary: thoughts(item, "summary", "summary_text")?,
        text: thoughts(item, "content", "reasoning_text")?,
        sealed: item.text("encrypted_content")?.map(str::to_owned),
    }))
}

fn thoughts(item: &Members<'_>, name: &str, kind: &str) -> Result<Vec<String>, Refusal> {
    let read = |(at, value): (usize, &Value)| {
        let part = Members::of(value, format!("{}[{at}]", item.path(name)))?;
        part.only(&["type", "text"])?;
        part.one_of("type", &[kind])?.ok_or_else(|| part.missing("type", kind))?;
        part.needed_text("text").map(str::to_owned)
    };
    item.list(name)?.unwrap_or_default().iter().enumerate().map(read).collect()
}
