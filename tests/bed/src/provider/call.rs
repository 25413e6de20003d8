//! The body of `POST /responses`, as far as the provider reads it, and the events of its answer.
//!
//! Invariant: the events are OpenAI's, in OpenAI's order, with every field that SDKs check for, also the null ones.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::knobs::{Knobs, Terminal};
use super::text;

/// An input longer than this is an image: the answer does not depend on it.
const INPUT_READ_BYTES: usize = 64 * 1024;
/// What OpenAI counts on average for English.
const BYTES_PER_TOKEN: usize = 4;

/// A call of the Responses API. Fields that are only repeated in the answer lie in `rest`.
#[derive(Debug, Deserialize)]
pub(super) struct Call<'a> {
    #[serde(default)]
    pub(super) model: String,
    #[serde(default)]
    pub(super) stream: bool,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) x_fake: Option<Knobs>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// One server-sent event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: &'static str,
    pub(super) data: Value,
}

/// The answer to a call: the response object in its last state, and the events that lead there.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Value,
    pub(super) events: Vec<Event>,
}

impl From<Value> for Answer {
    /// An answer that is never streamed.
    fn from(response: Value) -> Self {
        Self { response, events: Vec::new() }
    }
}

/// The response object's fields that a request may set, with OpenAI's defaults.
fn echoed() -> Map<String, Value> {
    let defaults = json!({
        "background": false, "conversation": null, "instructions": null, "max_output_tokens": null,
        "max_tool_calls": null, "metadata": {}, "parallel_tool_calls": true,
        "previous_response_id": null, "prompt_cache_key": null, "prompt_cache_retention": null,
        "reasoning": {"effort": null, "summary": null}, "safety_identifier": null,
        "service_tier": "default", "store": true, "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto",
        "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": null,
        "presence_penalty": 0.0, "frequency_penalty": 0.0,
    });
    match defaults {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl Call<'_> {
    fn input_text(&self) -> &str {
        let input = self.input.map(RawValue::get).unwrap_or_default();
        if input.len() <= INPUT_READ_BYTES { input } else { "an image" }
    }

    /// The answer that the knobs want.
    pub(super) fn answer(&self, knobs: &Knobs, body_bytes: usize) -> Answer {
        let pieces = text::pieces(self.input_text(), knobs.text_for(self.input_text()), knobs.words);
        let terminal = knobs.terminal.unwrap_or_default();
        let item_id = id("msg_");
        let empty = self.response(&id("resp_"), knobs);
        let done_item = item(&item_id, terminal, Some(&pieces.concat()));
        let usage = usage(knobs, body_bytes, pieces.len());
        let response = finished(&empty, terminal, &done_item, &usage);
        let events = Events::new(item_id).of(&empty, &pieces, terminal, &done_item, &response);
        Answer { response, events }
    }

    /// The response object before anything is generated.
    fn response(&self, id: &str, knobs: &Knobs) -> Value {
        let mut response = echoed();
        for (name, value) in &mut response {
            if let Some(asked) = self.rest.get(name).filter(|asked| !asked.is_null()) {
                *value = asked.clone();
            }
        }
        if knobs.echo_instructions == Some(false) {
            response.insert("instructions".to_owned(), Value::Null);
        }
        let fixed = json!({
            "id": id, "object": "response", "created_at": now_s(), "completed_at": null,
            "status": "in_progress", "error": null, "incomplete_details": null,
            "model": self.model, "output": [], "usage": null,
        });
        if let Value::Object(fixed) = fixed {
            response.extend(fixed);
        }
        Value::Object(response)
    }
}

fn finished(empty: &Value, terminal: Terminal, item: &Value, usage: &Value) -> Value {
    let mut response = empty.clone();
    let changes = match terminal {
        Terminal::Completed => json!({"status": "completed", "completed_at": now_s()}),
        Terminal::Incomplete => {
            json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}})
        }
        Terminal::Failed => json!({"status": "failed", "error": error()}),
    };
    if let (Value::Object(response), Value::Object(changes)) = (&mut response, changes) {
        response.extend(changes);
        if terminal != Terminal::Failed {
            response.insert("output".to_owned(), json!([item]));
            response.insert("usage".to_owned(), usage.clone());
        }
    }
    response
}

fn item(id: &str, terminal: Terminal, text: Option<&str>) -> Value {
    let status = match (text, terminal) {
        (None, _) => "in_progress",
        (Some(_), Terminal::Completed) => "completed",
        (Some(_), Terminal::Incomplete | Terminal::Failed) => "incomplete",
    };
    let content: Vec<Value> = text.map(part).into_iter().collect();
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn error() -> Value {
    json!({"code": "server_error", "message": "The provider failed on purpose."})
}

fn usage(knobs: &Knobs, body_bytes: usize, pieces: usize) -> Value {
    let counted = || (body_bytes.div_ceil(BYTES_PER_TOKEN) as u64, pieces as u64);
    let (input, output) = match knobs.usage {
        Some(tokens) => (tokens.input_tokens, tokens.output_tokens),
        None => counted(),
    };
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input.saturating_add(output),
    })
}

/// Builds the events in order; the sequence number is the position.
#[derive(Debug)]
struct Events {
    item_id: String,
    list: Vec<Event>,
}

impl Events {
    fn new(item_id: String) -> Self {
        Self { item_id, list: Vec::new() }
    }

    fn of(
        mut self,
        empty: &Value,
        pieces: &[String],
        terminal: Terminal,
        done_item: &Value,
        response: &Value,
    ) -> Vec<Event> {
        self.push("response.created", json!({"response": empty}));
        self.push("response.in_progress", json!({"response": empty}));
        let started = item(&self.item_id, terminal, None);
        self.push("response.output_item.added", json!({"output_index": 0, "item": started}));
        self.push_part("response.content_part.added", json!({"part": part("")}));
        for piece in pieces {
            self.push_part("response.output_text.delta", json!({"delta": piece, "logprobs": []}));
        }
        if terminal == Terminal::Failed {
            let error = json!({"code": "server_error", "message": error()["message"], "param": null});
            self.push("error", error);
            self.push("response.failed", json!({"response": response}));
            return self.list;
        }
        let text = pieces.concat();
        self.push_part("response.output_text.done", json!({"text": text, "logprobs": []}));
        self.push_part("response.content_part.done", json!({"part": part(&text)}));
        self.push("response.output_item.done", json!({"output_index": 0, "item": done_item}));
        let last = match terminal {
            Terminal::Incomplete => "response.incomplete",
            Terminal::Completed | Terminal::Failed => "response.completed",
        };
        self.push(last, json!({"response": response}));
        self.list
    }

    fn push_part(&mut self, kind: &'static str, mut data: Value) {
        data["item_id"] = self.item_id.clone().into();
        data["output_index"] = 0.into();
        data["content_index"] = 0.into();
        self.push(kind, data);
    }

    fn push(&mut self, kind: &'static str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = self.list.len().into();
        self.list.push(Event { kind, data });
    }
}

fn id(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(rand::random::<[u8; 24]>()))
}

#[expect(clippy::disallowed_methods, reason = "the provider stands for another company's machine")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or_default()
}
