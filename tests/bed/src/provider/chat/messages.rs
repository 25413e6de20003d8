//! The messages of a request: roles, parts, and calls of tools with their results.
//!
//! Invariant: a result follows the message that called, and every call has one before the conversation goes on.

use serde_json::Value;

use crate::provider::fault::{Fault, demand};
use crate::provider::place::Place;

const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];
const MEMBERS: [&str; 11] = [
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "annotations",
    "audio",
    "function_call",
    "reasoning_content",
    "reasoning",
];

/// Answers whether the last message is the result of a tool.
pub(super) fn check(messages: &Place<'_>) -> Result<bool, Fault> {
    let list = messages.list()?;
    let Some(last) = list.last() else {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty \
                       array instead.";
        return Err(Fault::at("messages", message).coded("empty_array"));
    };
    let mut open: Vec<&str> = Vec::new();
    let mut called: Vec<&str> = Vec::new();
    for message in &list {
        message.only(&MEMBERS)?;
        let role = message.need("role")?.one_of(&ROLES)?;
        if role == "tool" {
            let id = message.need("tool_call_id")?;
            let id = id.text()?;
            if !called.contains(&id) {
                let why = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message \
                           with 'tool_calls'.";
                return Err(Fault::at(format!("{}.role", message.path().replace('[', ".[")), why));
            }
            open.retain(|waiting| *waiting != id);
        } else {
            answered(message, &open)?;
            (open, called) = (Vec::new(), Vec::new());
        }
        content(message, role)?;
        if let Some(calls) = message.member("tool_calls") {
            called = tool_calls(&calls)?;
            open.clone_from(&called);
        }
    }
    answered(messages, &open)?;
    Ok(last.value["role"] == "tool")
}

fn answered(place: &Place<'_>, open: &[&str]) -> Result<(), Fault> {
    if open.is_empty() {
        return Ok(());
    }
    let why = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
         'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Err(Fault::at(place.path(), why))
}

fn content(message: &Place<'_>, role: &str) -> Result<(), Fault> {
    let Some(content) = message.member("content") else {
        let may_lack = role == "assistant"
            && ["tool_calls", "function_call", "refusal", "audio"].iter().any(|name| message.has(name));
        let why =
            || format!("Invalid value for 'content': expected a string, got null. ({})", message.path());
        return demand(may_lack || role == "function", why);
    };
    if content.value.is_string() {
        return Ok(());
    }
    for part in content.list()? {
        let allowed: &[&str] = match role {
            "user" => &["text", "image_url", "input_audio", "file"],
            "assistant" => &["text", "refusal"],
            _ => &["text"],
        };
        match part.need("type")?.one_of(allowed)? {
            "image_url" => image(&part.need("image_url")?)?,
            "file" => file(&part.need("file")?)?,
            "input_audio" => {
                let audio = part.need("input_audio")?;
                audio.need("data")?.text()?;
                audio.need("format")?.one_of(&["wav", "mp3"])?;
            }
            kind => {
                part.need(kind)?.text()?;
            }
        }
    }
    Ok(())
}

fn image(image: &Place<'_>) -> Result<(), Fault> {
    image.object()?;
    image.only(&["url", "detail"])?;
    if let Some(detail) = image.member("detail") {
        detail.one_of(&["auto", "low", "high", "original"])?;
    }
    let url = image.need("url")?;
    let text = url.text()?;
    let inline = text.starts_with("data:image/") && text.contains(";base64,");
    if inline || text.starts_with("https://") || text.starts_with("http://") {
        return Ok(());
    }
    Err(Fault::at(url.path(), "Invalid image URL. Expected a valid URL or a base64-encoded data URL.")
        .coded("invalid_image_url"))
}

fn file(file: &Place<'_>) -> Result<(), Fault> {
    file.only(&["file_data", "file_id", "filename"])?;
    let Some(data) = file.member("file_data") else { return file.need("file_id")?.text().map(|_| ()) };
    let inline = data.text()?.starts_with("data:") && data.text()?.contains(";base64,");
    demand(inline, || format!("Invalid '{}': expected a base64-encoded data URL.", data.path()))?;
    file.need("filename")?.text().map(|_| ())
}

fn tool_calls<'a>(calls: &Place<'a>) -> Result<Vec<&'a str>, Fault> {
    let mut ids = Vec::new();
    for call in calls.list()? {
        call.need("type")?.one_of(&["function", "custom"])?;
        if call.value["type"] == "function" {
            let function = call.need("function")?;
            function.need("name")?.text()?;
            // Not through `text`: the empty string is a string, null is not.
            match function.value.get("arguments") {
                Some(Value::String(_)) => {}
                _ => return Err(function.need("arguments")?.wrong_type("a string")),
            }
        }
        ids.push(call.need("id")?.text()?);
    }
    demand(!ids.is_empty(), || format!("Invalid '{}': empty array.", calls.path()))?;
    Ok(ids)
}
