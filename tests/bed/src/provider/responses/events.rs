//! The events that lead to a response.
//!
//! Invariant: they are OpenAI's, in OpenAI's order, and the sequence number of one is its place.

use serde_json::{Value, json};

use super::item::{Content, Item, Part};
use crate::provider::answer::Event;
use crate::provider::knobs::Terminal;
use crate::provider::script::Script;

/// All events of a response.
pub(super) fn of(empty: &Value, script: &Script, items: &[Item], response: &Value) -> Vec<Event> {
    let mut events = Events::default();
    events.push("response.created", json!({"response": empty}));
    events.push("response.in_progress", json!({"response": empty}));
    for (index, item) in items.iter().enumerate() {
        events.item(index, item);
    }
    let last = match script.terminal {
        Terminal::Completed => "response.completed",
        Terminal::Incomplete | Terminal::Filtered => "response.incomplete",
        Terminal::Failed => {
            events.stop_within();
            let error = super::error();
            let error = json!({"code": error["code"], "message": error["message"], "param": null});
            events.push("error", error);
            "response.failed"
        }
    };
    events.push(last, json!({"response": response}));
    events.list
}

#[derive(Debug, Default)]
struct Events {
    list: Vec<Event>,
}

impl Events {
    fn item(&mut self, index: usize, item: &Item) {
        self.push("response.output_item.added", json!({"output_index": index, "item": item.added}));
        let place = json!({"item_id": item.id, "output_index": index});
        match &item.content {
            Content::Reasoning(None) => {}
            Content::Reasoning(Some(pieces)) => self.summary(&place, pieces),
            Content::Message(parts) => {
                for (content_index, part) in parts.iter().enumerate() {
                    self.part(&with(&place, json!({"content_index": content_index})), part);
                }
            }
            Content::Call(pieces) => {
                for piece in pieces {
                    self.push(
                        "response.function_call_arguments.delta",
                        with(&place, json!({"delta": piece})),
                    );
                }
                let done = json!({"arguments": pieces.concat(), "name": item.done["name"]});
                self.push("response.function_call_arguments.done", with(&place, done));
            }
        }
        self.push("response.output_item.done", json!({"output_index": index, "item": item.done}));
    }

    fn summary(&mut self, place: &Value, pieces: &[String]) {
        let place = with(place, json!({"summary_index": 0}));
        let part = |text: &str| json!({"part": {"type": "summary_text", "text": text}});
        self.push("response.reasoning_summary_part.added", with(&place, part("")));
        for piece in pieces {
            self.push("response.reasoning_summary_text.delta", with(&place, json!({"delta": piece})));
        }
        let text = pieces.concat();
        self.push("response.reasoning_summary_text.done", with(&place, json!({"text": text})));
        self.push("response.reasoning_summary_part.done", with(&place, part(&text)));
    }

    fn part(&mut self, place: &Value, part: &Part) {
        let text = part.pieces.concat();
        self.push("response.content_part.added", with(place, json!({"part": part.with("", &[])})));
        for (index, piece) in part.pieces.iter().enumerate() {
            let logprobs: Vec<&Value> = part.logprobs.get(index).into_iter().collect();
            if part.is_refusal {
                self.push("response.refusal.delta", with(place, json!({"delta": piece})));
            } else {
                let delta = json!({"delta": piece, "logprobs": logprobs});
                self.push("response.output_text.delta", with(place, delta));
            }
        }
        if part.is_refusal {
            self.push("response.refusal.done", with(place, json!({"refusal": text})));
        } else {
            let done = json!({"text": text, "logprobs": part.logprobs});
            self.push("response.output_text.done", with(place, done));
        }
        let done = part.with(&text, &part.logprobs);
        self.push("response.content_part.done", with(place, json!({"part": done})));
    }

    /// Forgets what comes after the last piece of content, and without any, what ends anything.
    fn stop_within(&mut self) {
        let ends = |event: &Event| event.name.is_some_and(|name| name.ends_with(".done"));
        let last = self.list.iter().rposition(|event| event.is_delta).map(|at| at + 1);
        let keep = last.or_else(|| self.list.iter().position(ends)).unwrap_or(self.list.len());
        self.list.truncate(keep);
    }

    fn push(&mut self, name: &'static str, mut data: Value) {
        data["type"] = name.into();
        data["sequence_number"] = self.list.len().into();
        self.list.push(Event { name: Some(name), data, is_delta: name.ends_with(".delta") });
    }
}

fn with(place: &Value, more: Value) -> Value {
    let mut all = place.clone();
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}
