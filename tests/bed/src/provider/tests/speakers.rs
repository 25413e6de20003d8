//! A client of each protocol: how it asks, and what it makes of an answer.
//!
//! Invariant: what was said is read from the protocol's own members, never from the script.

use serde_json::{Value, json};

use super::{Raw, exchange};
use crate::provider::Provider;

/// A protocol, seen by its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    Responses,
    Chat,
    Anthropic,
    Gemini,
}

pub const ALL: [Speaker; 4] = [Speaker::Responses, Speaker::Chat, Speaker::Anthropic, Speaker::Gemini];

/// What was said, in no protocol's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub reasoning: String,
    pub text: String,
    pub refusal: String,
    pub calls: Vec<(String, String)>,
    pub end: String,
    /// Input, cached, output and reasoning tokens.
    pub usage: [u64; 4],
}

impl Speaker {
    pub fn path(self, stream: bool) -> &'static str {
        match (self, stream) {
            (Self::Responses, _) => "/v1/responses",
            (Self::Chat, _) => "/v1/chat/completions",
            (Self::Anthropic, _) => "/v1/messages",
            (Self::Gemini, false) => "/v1beta/models/m:generateContent",
            (Self::Gemini, true) => "/v1beta/models/m:streamGenerateContent?alt=sse",
        }
    }

    pub fn headers(self) -> &'static str {
        match self {
            Self::Responses | Self::Chat => "authorization: Bearer sk\r\n",
            Self::Anthropic => "x-api-key: sk\r\nanthropic-version: 2023-06-01\r\n",
            Self::Gemini => "x-goog-api-key: k\r\n",
        }
    }

    /// A good request that asks for everything that has to be asked for.
    pub fn body(self) -> Value {
        let user = json!([{"role": "user", "content": "rain"}]);
        match self {
            Self::Responses => json!({
                "model": "m", "input": "rain", "reasoning": {"summary": "auto"}, "top_logprobs": 1,
                "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
            }),
            Self::Chat => json!({"model": "m", "messages": user, "logprobs": true, "top_logprobs": 1}),
            Self::Anthropic => json!({
                "model": "m", "messages": user, "max_tokens": 4096,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
            }),
            Self::Gemini => json!({
                "contents": [{"role": "user", "parts": [{"text": "rain"}]}],
                "generationConfig": {
                    "thinkingConfig": {"includeThoughts": true}, "responseLogprobs": true, "logprobs": 1,
                },
            }),
        }
    }

    /// The same, in the mode that is wanted.
    pub fn in_mode(self, mut body: Value, stream: bool) -> Value {
        if stream && self != Self::Gemini {
            body["stream"] = true.into();
        }
        if stream && self == Self::Chat {
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }

    pub fn request(self, body: &Value, stream: bool) -> Vec<u8> {
        self.request_with(self.headers(), body, stream)
    }

    pub fn request_with(self, headers: &str, body: &Value, stream: bool) -> Vec<u8> {
        let body = self.in_mode(body.clone(), stream).to_string();
        let (path, length) = (self.path(stream), body.len());
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    pub async fn ask(self, provider: &Provider, body: &Value, stream: bool) -> Raw {
        exchange(provider, &self.request(body, stream)).await
    }

    /// What an answer says.
    pub fn said(self, raw: &Raw, stream: bool) -> Said {
        match (self, stream) {
            (Self::Responses, false) => response(&raw.json()),
            (Self::Responses, true) => response_stream(&events(raw)),
            (Self::Chat, false) => completion(&raw.json()),
            (Self::Chat, true) => completion_stream(&events(raw)),
            (Self::Anthropic, false) => message(&raw.json()),
            (Self::Anthropic, true) => message_stream(&events(raw)),
            (Self::Gemini, false) => generated(&[raw.json()]),
            (Self::Gemini, true) => generated(&events(raw)),
        }
    }
}

/// The payloads of a stream with any ends of lines, without the marker of its end.
pub fn events(raw: &Raw) -> Vec<Value> {
    let text = raw.text().replace("\r\n", "\n").replace('\r', "\n");
    let data = text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).expect("JSON in data")).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn response(response: &Value) -> Said {
    let mut said = Said::default();
    for item in response["output"].as_array().into_iter().flatten() {
        match item["type"].as_str() {
            Some("reasoning") => said.reasoning = text(&item["summary"][0]["text"]),
            Some("function_call") => said.calls.push((text(&item["name"]), text(&item["arguments"]))),
            _ => {
                for part in item["content"].as_array().into_iter().flatten() {
                    said.text.push_str(&text(&part["text"]));
                    said.refusal.push_str(&text(&part["refusal"]));
                }
            }
        }
    }
    let reason = text(&response["incomplete_details"]["reason"]);
    said.end = match reason.as_str() {
        "max_output_tokens" => "length".to_owned(),
        "content_filter" => "filter".to_owned(),
        _ => text(&response["status"]).replace("completed", "end"),
    };
    let usage = &response["usage"];
    said.usage = [
        number(&usage["input_tokens"]),
        number(&usage["input_tokens_details"]["cached_tokens"]),
        number(&usage["output_tokens"]),
        number(&usage["output_tokens_details"]["reasoning_tokens"]),
    ];
    said
}

/// From the deltas alone; end and usage stand in the last event.
fn response_stream(events: &[Value]) -> Said {
    let last = events.last().expect("an event");
    let mut said = Said { usage: response(&last["response"]).usage, ..Said::default() };
    said.end = response(&last["response"]).end;
    for event in events {
        let delta = text(&event["delta"]);
        match event["type"].as_str().unwrap_or_default() {
            "response.reasoning_summary_text.delta" => said.reasoning.push_str(&delta),
            "response.output_text.delta" => said.text.push_str(&delta),
            "response.refusal.delta" => said.refusal.push_str(&delta),
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                said.calls.push((text(&event["item"]["name"]), String::new()));
            }
            "response.function_call_arguments.delta" => {
                said.calls.last_mut().expect("a call").1.push_str(&delta);
            }
            _ => {}
        }
    }
    said
}

fn completion_usage(usage: &Value) -> [u64; 4] {
    [
        number(&usage["prompt_tokens"]),
        number(&usage["prompt_tokens_details"]["cached_tokens"]),
        number(&usage["completion_tokens"]),
        number(&usage["completion_tokens_details"]["reasoning_tokens"]),
    ]
}

fn completion_end(reason: &Value) -> String {
    match reason.as_str().unwrap_or("failed") {
        "stop" | "tool_calls" => "end".to_owned(),
        "content_filter" => "filter".to_owned(),
        other => other.to_owned(),
    }
}

fn completion(whole: &Value) -> Said {
    let choice = &whole["choices"][0];
    let message = &choice["message"];
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    Said {
        reasoning: text(&message["reasoning_content"]),
        text: text(&message["content"]),
        refusal: text(&message["refusal"]),
        calls: calls
            .map(|call| (text(&call["function"]["name"]), text(&call["function"]["arguments"])))
            .collect(),
        end: completion_end(&choice["finish_reason"]),
        usage: completion_usage(&whole["usage"]),
    }
}

fn completion_stream(chunks: &[Value]) -> Said {
    let mut said = Said { end: "failed".to_owned(), ..Said::default() };
    for chunk in chunks {
        if chunk["usage"].is_object() {
            said.usage = completion_usage(&chunk["usage"]);
        }
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        said.reasoning.push_str(&text(&delta["reasoning_content"]));
        said.text.push_str(&text(&delta["content"]));
        said.refusal.push_str(&text(&delta["refusal"]));
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(number(&call["index"])).expect("an index");
            if index == said.calls.len() {
                said.calls.push((text(&call["function"]["name"]), String::new()));
            }
            said.calls[index].1.push_str(&text(&call["function"]["arguments"]));
        }
        if !choice["finish_reason"].is_null() {
            said.end = completion_end(&choice["finish_reason"]);
        }
    }
    said
}

fn message_end(said: &mut Said, holder: &Value, usage: &Value) {
    said.end = match holder["stop_reason"].as_str().unwrap_or("failed") {
        "end_turn" | "tool_use" => "end".to_owned(),
        "max_tokens" => "length".to_owned(),
        "refusal" => "filter".to_owned(),
        other => other.to_owned(),
    };
    said.refusal = text(&holder["stop_details"]["explanation"]);
    let cached = number(&usage["cache_read_input_tokens"]);
    let input = number(&usage["input_tokens"]) + cached + number(&usage["cache_creation_input_tokens"]);
    let thinking = number(&usage["output_tokens_details"]["thinking_tokens"]);
    said.usage = [input, cached, number(&usage["output_tokens"]), thinking];
}

fn message(whole: &Value) -> Said {
    let mut said = Said::default();
    for block in whole["content"].as_array().into_iter().flatten() {
        match block["type"].as_str() {
            Some("thinking") => said.reasoning = text(&block["thinking"]),
            Some("tool_use") => said.calls.push((text(&block["name"]), block["input"].to_string())),
            _ => said.text.push_str(&text(&block["text"])),
        }
    }
    message_end(&mut said, whole, &whole["usage"]);
    said
}

fn message_stream(events: &[Value]) -> Said {
    let mut said = Said { end: "failed".to_owned(), ..Said::default() };
    for event in events {
        let delta = &event["delta"];
        match event["type"].as_str().unwrap_or_default() {
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                said.calls.push((text(&event["content_block"]["name"]), String::new()));
            }
            "content_block_delta" => {
                said.reasoning.push_str(&text(&delta["thinking"]));
                said.text.push_str(&text(&delta["text"]));
                if let Some(piece) = delta["partial_json"].as_str() {
                    said.calls.last_mut().expect("a call").1.push_str(piece);
                }
            }
            "message_delta" => message_end(&mut said, delta, &event["usage"]),
            _ => {}
        }
    }
    said
}

fn generated(responses: &[Value]) -> Said {
    let mut said = Said { end: "failed".to_owned(), ..Said::default() };
    for response in responses {
        let candidate = &response["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let into = if part["thought"] == true { &mut said.reasoning } else { &mut said.text };
            into.push_str(&text(&part["text"]));
            if let Some(call) = part.get("functionCall") {
                said.calls.push((text(&call["name"]), call["args"].to_string()));
            }
        }
        let Some(reason) = candidate["finishReason"].as_str() else { continue };
        said.end = match reason {
            "STOP" => "end".to_owned(),
            "MAX_TOKENS" => "length".to_owned(),
            "SAFETY" => "filter".to_owned(),
            other => other.to_owned(),
        };
        said.refusal = text(&candidate["finishMessage"]);
        let usage = &response["usageMetadata"];
        let thoughts = number(&usage["thoughtsTokenCount"]);
        let output = number(&usage["candidatesTokenCount"]) + thoughts;
        let cached = number(&usage["cachedContentTokenCount"]);
        said.usage = [number(&usage["promptTokenCount"]), cached, output, thoughts];
    }
    said
}

/// `body` with the knobs of a call.
pub fn with_knobs(mut body: Value, knobs: &Value) -> Value {
    body["x_fake"] = knobs.clone();
    body
}

/// `body` with other members; null takes one away.
pub fn with(mut body: Value, members: Value) -> Value {
    let (Value::Object(all), Value::Object(more)) = (&mut body, members) else { panic!("no objects") };
    for (name, value) in more {
        if value.is_null() {
            all.remove(&name);
        } else {
            all.insert(name, value);
        }
    }
    body
}
