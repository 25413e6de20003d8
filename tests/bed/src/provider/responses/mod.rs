//! OpenAI's Responses API: the body of `POST /responses` and `/responses/compact`, as far as the provider reads it, and its answer.
//!
//! Invariant: the response object has every field that SDKs check for, also the null ones.

mod events;
mod item;
mod replay;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::answer::{Answer, id, now_s};
use super::fault::Fault;
use super::knobs::{Knobs, Terminal, Tokens};
use super::script::{Input, Script};
use super::seal;

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

/// What of an answer a request has to ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    summary: bool,
    encrypted: bool,
    logprobs: Option<u64>,
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
        self.input.map(RawValue::get).unwrap_or_default()
    }

    /// Refuses what OpenAI would not continue.
    pub(super) fn check(&self) -> Result<(), Fault> {
        replay::check(
            self.input_text(),
            self.rest.get("previous_response_id").is_some_and(|id| !id.is_null()),
        )
    }

    /// The answer that the knobs want.
    pub(super) fn answer(&self, knobs: &Knobs, body_bytes: usize) -> Answer {
        let text = self.input_text();
        let input = Input { text, after_tools: replay::ends_with_tool_output(text), body_bytes };
        let script = Script::of(knobs, input);
        let empty = self.response(&id("resp_"), knobs);
        let items = item::of(&script, self.asked());
        let whole = finished(&empty, &script, &items);
        let events = events::of(&empty, &script, &items, &whole);
        Answer::new(whole, events)
    }

    /// The conversation made short, as OpenAI does it: an item that only this provider can read.
    pub(super) fn compacted(&self, answer: &Answer) -> Answer {
        let sealed = seal::seal("openai", self.input_text());
        let item = json!({"id": id("cmp_"), "type": "compaction", "encrypted_content": sealed});
        let whole = json!({
            "id": id("resp_"), "object": "response.compaction", "created_at": now_s(), "output": [item],
            "usage": answer.whole["usage"],
        });
        Answer::new(whole, Vec::new())
    }

    fn asked(&self) -> Asked {
        let included = |wanted: &str| {
            let list = self.rest.get("include").and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|name| name == wanted))
        };
        let top = self.rest.get("top_logprobs").and_then(Value::as_u64).unwrap_or_default();
        Asked {
            summary: self.rest.get("reasoning").is_some_and(|reasoning| !reasoning["summary"].is_null()),
            encrypted: included("reasoning.encrypted_content"),
            logprobs: included("message.output_text.logprobs").then_some(top),
        }
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

fn finished(empty: &Value, script: &Script, items: &[item::Item]) -> Value {
    let mut response = empty.clone();
    let incomplete = |reason: &str| {
        let reason = script.stop_reason.as_deref().unwrap_or(reason);
        json!({"status": "incomplete", "incomplete_details": {"reason": reason}})
    };
    let changes = match script.terminal {
        Terminal::Completed => json!({"status": "completed", "completed_at": now_s()}),
        Terminal::Incomplete => incomplete("max_output_tokens"),
        Terminal::Filtered => incomplete("content_filter"),
        Terminal::Failed => json!({"status": "failed", "error": error()}),
    };
    if let (Value::Object(response), Value::Object(changes)) = (&mut response, changes) {
        response.extend(changes);
        if script.terminal != Terminal::Failed {
            response.insert("output".to_owned(), items.iter().map(|item| item.done.clone()).collect());
            response.insert("usage".to_owned(), usage(&script.usage));
        }
    }
    response
}

fn error() -> Value {
    json!({"code": "server_error", "message": "The provider failed on purpose."})
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "input_tokens": tokens.input_tokens,
        "input_tokens_details": {"cached_tokens": tokens.cached_tokens},
        "output_tokens": tokens.output_tokens,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens},
        "total_tokens": tokens.total(),
    })
}
