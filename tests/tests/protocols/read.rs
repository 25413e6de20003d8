//! Answers of either protocol, streamed or whole, read into one form.
//!
//! Invariant: a stream is read from its deltas and checked against its end; what is missing is an error.

use alphagate_tests::{Event, read_events};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::Manner;

/// What an answer says.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub model: String,
    pub text: String,
    pub refusal: String,
    pub reasoning: String,
    /// Ids, names and arguments.
    pub calls: Vec<(String, String, String)>,
    /// `stop`, `length`, `content_filter` or `tool_calls`, as chat says it.
    pub finish: String,
    /// Input and output tokens.
    pub usage: (u64, u64),
    /// The output items of a response.
    pub output: Vec<Value>,
}

/// Reads a body.
pub fn read(manner: Manner, body: &str) -> Result<Answer> {
    match (manner.chat, manner.stream) {
        (false, false) => response(&serde_json::from_str(body)?),
        (false, true) => response_stream(&read_events(body.as_bytes())),
        (true, false) => completion(&serde_json::from_str(body)?),
        (true, true) => chunks(&read_events(body.as_bytes())),
    }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    value[member].as_array().into_iter().flatten()
}

fn response(response: &Value) -> Result<Answer> {
    let mut answer = Answer { model: text(response, "model"), ..Answer::default() };
    for item in list(response, "output") {
        match item["type"].as_str() {
            Some("message") => {
                for part in list(item, "content") {
                    answer.text += &text(part, "text");
                    answer.refusal += &text(part, "refusal");
                }
            }
            Some("function_call") => {
                answer.calls.push((text(item, "call_id"), text(item, "name"), text(item, "arguments")))
            }
            Some("reasoning") => {
                let parts = list(item, "content").chain(list(item, "summary"));
                answer.reasoning.extend(parts.map(|part| text(part, "text")));
            }
            _ => {}
        }
    }
    let reason = match response["incomplete_details"]["reason"].as_str() {
        Some("max_output_tokens") => "length",
        Some(other) => other,
        None if !answer.calls.is_empty() => "tool_calls",
        None => "stop",
    };
    ensure!(
        response["status"]
            == if matches!(reason, "stop" | "tool_calls") { "completed" } else { "incomplete" }
    );
    answer.finish = reason.into();
    let tokens = |name: &str| response["usage"][name].as_u64().context("no usage");
    answer.usage = (tokens("input_tokens")?, tokens("output_tokens")?);
    answer.output = list(response, "output").cloned().collect();
    Ok(answer)
}

fn response_stream(events: &[Event]) -> Result<Answer> {
    let (mut said, mut last) = (String::new(), None);
    let events: Vec<Value> = events.iter().filter(|event| event.data != "[DONE]").map(Event::json).collect();
    for (number, event) in events.iter().enumerate() {
        ensure!(event["sequence_number"] == number, "{event}");
        match event["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" => said += &text(event, "delta"),
            "response.completed" | "response.incomplete" => last = Some(&event["response"]),
            _ => {}
        }
    }
    ensure!(events.first().is_some_and(|event| event["type"] == "response.created"));
    let answer = response(last.context("no end")?)?;
    ensure!(answer.text == said, "{said} is not {}", answer.text);
    Ok(answer)
}

fn completion(completion: &Value) -> Result<Answer> {
    ensure!(completion["object"] == "chat.completion");
    let choice = &completion["choices"][0];
    let mut answer = Answer {
        model: text(completion, "model"),
        finish: text(choice, "finish_reason"),
        ..Answer::default()
    };
    message(&choice["message"], &mut answer);
    answer.usage = usage(&completion["usage"])?;
    Ok(answer)
}

fn message(message: &Value, answer: &mut Answer) {
    answer.text += &text(message, "content");
    answer.refusal += &text(message, "refusal");
    answer.reasoning += &text(message, "reasoning_content");
    for call in list(message, "tool_calls") {
        let function = &call["function"];
        let at =
            call["index"].as_u64().map_or(answer.calls.len(), |at| usize::try_from(at).unwrap_or_default());
        match answer.calls.get_mut(at) {
            Some(begun) => begun.2 += &text(function, "arguments"),
            None => {
                answer.calls.push((text(call, "id"), text(function, "name"), text(function, "arguments")))
            }
        }
    }
}

fn usage(usage: &Value) -> Result<(u64, u64)> {
    let tokens = |name: &str| usage[name].as_u64().context("no usage");
    Ok((tokens("prompt_tokens")?, tokens("completion_tokens")?))
}

fn chunks(events: &[Event]) -> Result<Answer> {
    let (last, chunks) = events.split_last().context("no events")?;
    ensure!(last.data == "[DONE]", "{last:?}");
    let mut answer = Answer::default();
    for chunk in chunks.iter().map(Event::json) {
        ensure!(chunk["object"] == "chat.completion.chunk", "{chunk}");
        answer.model = text(&chunk, "model");
        for choice in list(&chunk, "choices") {
            message(&choice["delta"], &mut answer);
            answer.finish += &text(choice, "finish_reason");
        }
        if !chunk["usage"].is_null() {
            answer.usage = usage(&chunk["usage"])?;
        }
    }
    Ok(answer)
}

/// A request that says this, in the caller's protocol.
pub fn says(manner: Manner, words: &str) -> Value {
    if manner.chat {
        json!({"messages": [{"role": "user", "content": words}]})
    } else {
        json!({"input": words})
    }
}
