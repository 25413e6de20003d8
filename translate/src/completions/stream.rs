//! The events of a response, as chunks of a chat completion.
//!
//! The events are those of the protocol, whoever made them: a provider that speaks Responses, or the lifecycle.
//!
//! Invariant: the first chunk gives the role, the last line is `[DONE]`, and nothing follows it; a stream that ends without
//! a terminal event ends with an error.

use super::{
    answer::{BETWEEN_SUMMARIES, created, finish_reason, id, service_tier},
    error::envelope,
    usage::{annotation, logprobs, usage},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What stands where the stream ends.
const END: &str = "[DONE]";

/// Writes the chunks of one answer.
#[derive(Debug)]
pub struct Writer {
    /// What every chunk has: id, time, model.
    head: Map<String, Value>,
    include_usage: bool,
    has_begun: bool,
    has_ended: bool,
    /// Calls by the place of their item.
    calls: BTreeMap<u64, Call>,
    /// Parts of which a delta has come: item and part.
    said: BTreeSet<(u64, u64)>,
    has_summary: bool,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    /// Its number among the calls.
    index: usize,
    /// Whether any of its arguments have been said.
    is_said: bool,
}

impl Writer {
    /// Begins a stream, under the name by which the caller called the model.
    #[must_use]
    pub fn new(model: &str, include_usage: bool) -> Self {
        let mut head = Map::new();
        head.insert("object".into(), "chat.completion.chunk".into());
        head.insert("model".into(), model.into());
        Self {
            head,
            include_usage,
            has_begun: false,
            has_ended: false,
            calls: BTreeMap::new(),
            said: BTreeSet::new(),
            has_summary: false,
        }
    }

    /// Reads one event, its `data`, and gives the `data` of the events that follow from it.
    #[must_use]
    pub fn event(&mut self, event: &Value) -> Vec<String> {
        let mut out = Vec::new();
        if self.has_ended {
            return out;
        }
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "response.created" | "response.in_progress" | "response.queued" => self.begin(event, &mut out),
            "response.completed" | "response.incomplete" => self.finish(event, &mut out),
            "response.failed" | "response.cancelled" => {
                self.fail(event.pointer("/response/error").unwrap_or(&Value::Null), &mut out);
            }
            "error" => {
                self.fail(event.get("error").filter(|error| error.is_object()).unwrap_or(event), &mut out)
            }
            "response.output_item.added" | "response.output_item.done" => self.item(event, &mut out),
            "response.function_call_arguments.delta" => self.arguments(event, "delta", &mut out),
            "response.function_call_arguments.done" => self.arguments(event, "arguments", &mut out),
            kind => self.part(kind, event, &mut out),
        }
        out
    }

    /// The stream has ended, whatever was its last event.
    #[must_use]
    pub fn end(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        if !self.has_ended {
            self.fail(
                &json!({"message": "The provider's stream ended early.", "code": "upstream_ended"}),
                &mut out,
            );
        }
        out
    }

    fn part(&mut self, kind: &str, event: &Value, out: &mut Vec<String>) {
        match kind {
            "response.output_text.delta" => self.say("content", "delta", event, out),
            "response.refusal.delta" => self.say("refusal", "delta", event, out),
            "response.output_text.done" if !self.said.contains(&place(event)) => {
                self.say("content", "text", event, out)
            }
            "response.refusal.done" if !self.said.contains(&place(event)) => {
                self.say("refusal", "refusal", event, out)
            }
            "response.output_text.annotation.added" => {
                if let Some(annotation) = event.get("annotation").and_then(annotation) {
                    self.delta(json!({"annotations": [annotation]}), Value::Null, out);
                }
            }
            "response.reasoning_text.delta" | "response.reasoning.delta" => self.think(event, out),
            "response.reasoning_summary_text.delta" => {
                self.has_summary = true;
                self.think(event, out);
            }
            "response.reasoning_summary_part.added" if self.has_summary => {
                self.delta(json!({"reasoning_content": BETWEEN_SUMMARIES}), Value::Null, out);
            }
            _ => {}
        }
    }

    fn begin(&mut self, event: &Value, out: &mut Vec<String>) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        let response = event.get("response").unwrap_or(&Value::Null);
        self.head.insert("id".into(), id(response).into());
        self.head.insert("created".into(), created(response).into());
        self.head.extend(service_tier(response).map(|tier| ("service_tier".to_owned(), tier)));
        self.delta(json!({"role": "assistant", "content": "", "refusal": null}), Value::Null, out);
    }

    fn say(&mut self, member: &str, from: &str, event: &Value, out: &mut Vec<String>) {
        let text = event.get(from).and_then(Value::as_str).unwrap_or_default();
        self.said.insert(place(event));
        let tokens = event.get("logprobs").and_then(Value::as_array);
        let logprobs = logprobs(tokens.into_iter().flatten());
        if !text.is_empty() || !logprobs.is_null() {
            self.delta(one(member, text), logprobs, out);
        }
    }

    fn think(&mut self, event: &Value, out: &mut Vec<String>) {
        let text = event.get("delta").and_then(Value::as_str).unwrap_or_default();
        if !text.is_empty() {
            self.delta(one("reasoning_content", text), Value::Null, out);
        }
    }

    /// A call begins with its item. A provider that only tells items that are done tells the arguments with them.
    fn item(&mut self, event: &Value, out: &mut Vec<String>) {
        let item = event.get("item").unwrap_or(&Value::Null);
        if item.get("type").is_none_or(|kind| kind != "function_call") {
            return;
        }
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let arguments = text("arguments");
        match self.calls.get_mut(&number(event, "output_index")) {
            None => {
                let index = self.calls.len();
                let call = Call { index, is_said: !arguments.is_empty() };
                self.calls.insert(number(event, "output_index"), call);
                let function = json!({"name": text("name"), "arguments": arguments});
                let call =
                    json!({"index": index, "id": text("call_id"), "type": "function", "function": function});
                self.delta(json!({"tool_calls": [call]}), Value::Null, out);
            }
            Some(call) if !call.is_said && !arguments.is_empty() => {
                call.is_said = true;
                let index = call.index;
                self.say_arguments(index, arguments, out);
            }
            Some(_) => {}
        }
    }

    fn arguments(&mut self, event: &Value, from: &str, out: &mut Vec<String>) {
        let text = event.get(from).and_then(Value::as_str).unwrap_or_default();
        let Some(call) = self.calls.get_mut(&number(event, "output_index")) else { return };
        let is_repeated = from == "arguments" && call.is_said;
        if !text.is_empty() && !is_repeated {
            call.is_said = true;
            let index = call.index;
            self.say_arguments(index, text, out);
        }
    }

    fn say_arguments(&self, index: usize, text: &str, out: &mut Vec<String>) {
        let call = json!({"index": index, "function": {"arguments": text}});
        out.push(self.chunk(json!({"tool_calls": [call]}), Value::Null, None));
    }

    fn delta(&mut self, delta: Value, logprobs: Value, out: &mut Vec<String>) {
        if !self.has_begun {
            self.begin(&Value::Null, out);
        }
        out.push(self.chunk(delta, logprobs, None));
    }

    fn chunk(&self, delta: Value, logprobs: Value, finish_reason: Option<&str>) -> String {
        let choice =
            json!({"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason});
        self.written(json!([choice]), Value::Null)
    }

    /// Where usage is told at the end, every chunk before says that it is not told yet.
    fn written(&self, choices: Value, usage: Value) -> String {
        let mut chunk = self.head.clone();
        chunk.insert("choices".into(), choices);
        if self.include_usage {
            chunk.insert("usage".into(), usage);
        }
        Value::Object(chunk).to_string()
    }

    fn finish(&mut self, event: &Value, out: &mut Vec<String>) {
        self.begin(event, out);
        let response = event.get("response").unwrap_or(&Value::Null);
        let reason = finish_reason(response, !self.calls.is_empty());
        out.push(self.chunk(json!({}), Value::Null, Some(reason)));
        if let Some(usage) = usage(response).filter(|_| self.include_usage) {
            out.push(self.written(json!([]), usage));
        }
        self.close(out);
    }

    fn fail(&mut self, error: &Value, out: &mut Vec<String>) {
        out.push(envelope(error).to_string());
        self.close(out);
    }

    fn close(&mut self, out: &mut Vec<String>) {
        self.has_ended = true;
        out.push(END.to_owned());
    }
}

fn one(member: &str, text: &str) -> Value {
    Value::Object(Map::from_iter([(member.to_owned(), text.into())]))
}

fn number(event: &Value, name: &str) -> u64 {
    event.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn place(event: &Value) -> (u64, u64) {
    (number(event, "output_index"), number(event, "content_index"))
}
