//! A message that is being written: text and refusals, part after part.
//!
//! Invariant: a part's last event tells the text that its deltas made.

use super::place::Place;
use crate::event::Events;
use serde_json::{Value, json};

#[derive(Debug)]
pub(super) struct Message {
    place: Place,
    content: Vec<Value>,
    part: Option<Part>,
}

#[derive(Debug)]
enum Part {
    Text { text: String, annotations: Vec<Value>, logprobs: Vec<Value> },
    Refusal(String),
}

impl Part {
    fn value(&self) -> Value {
        match self {
            Self::Text { text, annotations, logprobs } => {
                json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs})
            }
            Self::Refusal(refusal) => json!({"type": "refusal", "refusal": refusal}),
        }
    }
}

impl Message {
    pub(super) fn open(place: Place, out: &mut Events) -> Self {
        let message = Self { place, content: Vec::new(), part: None };
        out.push("response.output_item.added", message.place.of_item(&message.item("in_progress")));
        message
    }

    pub(super) fn text(&mut self, delta: &str, told: Vec<Value>, out: &mut Events) {
        self.open_text(out);
        let data = [("content_index", self.part_index()), ("delta", json!(delta)), ("logprobs", json!(told))];
        out.push("response.output_text.delta", self.place.event(data));
        if let Some(Part::Text { text, logprobs, .. }) = &mut self.part {
            text.push_str(delta);
            logprobs.extend(told);
        }
    }

    pub(super) fn annotation(&mut self, annotation: Value, out: &mut Events) {
        self.open_text(out);
        let content_index = self.part_index();
        if let Some(Part::Text { annotations, .. }) = &mut self.part {
            let data = [
                ("content_index", content_index),
                ("annotation_index", json!(annotations.len())),
                ("annotation", annotation.clone()),
            ];
            out.push("response.output_text.annotation.added", self.place.event(data));
            annotations.push(annotation);
        }
    }

    pub(super) fn refusal(&mut self, delta: &str, out: &mut Events) {
        if !matches!(self.part, Some(Part::Refusal(_))) {
            self.open_part(Part::Refusal(String::new()), out);
        }
        let data = [("content_index", self.part_index()), ("delta", json!(delta))];
        out.push("response.refusal.delta", self.place.event(data));
        if let Some(Part::Refusal(refusal)) = &mut self.part {
            refusal.push_str(delta);
        }
    }

    /// Ends the message; gives the item and where it stands.
    pub(super) fn close(mut self, status: &'static str, out: &mut Events) -> (usize, Value) {
        self.close_part(out);
        let item = self.item(status);
        out.push("response.output_item.done", self.place.of_item(&item));
        (self.place.index, item)
    }

    /// Whether a text part is open.
    pub(super) const fn in_text(&self) -> bool {
        matches!(self.part, Some(Part::Text { .. }))
    }

    fn open_text(&mut self, out: &mut Events) {
        if !self.in_text() {
            let (text, annotations, logprobs) = Default::default();
            self.open_part(Part::Text { text, annotations, logprobs }, out);
        }
    }

    fn open_part(&mut self, part: Part, out: &mut Events) {
        self.close_part(out);
        let data = [("content_index", self.part_index()), ("part", part.value())];
        out.push("response.content_part.added", self.place.event(data));
        self.part = Some(part);
    }

    fn close_part(&mut self, out: &mut Events) {
        let Some(part) = self.part.take() else { return };
        let at = || ("content_index", self.part_index());
        match &part {
            Part::Text { text, logprobs, .. } => {
                let data = [at(), ("text", json!(text)), ("logprobs", json!(logprobs))];
                out.push("response.output_text.done", self.place.event(data));
            }
            Part::Refusal(refusal) => {
                let data = [at(), ("refusal", json!(refusal))];
                out.push("response.refusal.done", self.place.event(data));
            }
        }
        let value = part.value();
        out.push("response.content_part.done", self.place.event([at(), ("part", value.clone())]));
        self.content.push(value);
    }

    fn part_index(&self) -> Value {
        json!(self.content.len())
    }

    fn item(&self, status: &'static str) -> Value {
        json!({
            "type": "message", "id": self.place.id, "status": status, "role": "assistant", "content": self.content,
        })
    }
}
