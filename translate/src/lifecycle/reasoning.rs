//! Thoughts that are being told: parts of a summary, the thoughts themselves, and what their provider needs of them.
//!
//! `encrypted_content` is there whenever the provider told what it needs, asked for or not: callers that send back what they
//! were given can go on with their tools then, without knowing what a provider is.
//!
//! Invariant: a part's last event tells the text that its deltas made.

use super::place::Place;
use crate::{event::Events, replay};
use serde_json::{Map, Value, json};

#[derive(Debug)]
pub(super) struct Reasoning {
    place: Place,
    provider: &'static str,
    summary: Vec<Value>,
    content: Vec<Value>,
    part: Option<(Kind, String)>,
    sealed: Vec<Value>,
}

/// What kinds of part there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Summary,
    Text,
}

/// The names that a kind of part has in the protocol.
struct Names {
    part: &'static str,
    index: &'static str,
    added: &'static str,
    delta: &'static str,
    done: &'static str,
    part_done: &'static str,
}

const SUMMARY: Names = Names {
    part: "summary_text",
    index: "summary_index",
    added: "response.reasoning_summary_part.added",
    delta: "response.reasoning_summary_text.delta",
    done: "response.reasoning_summary_text.done",
    part_done: "response.reasoning_summary_part.done",
};

const TEXT: Names = Names {
    part: "reasoning_text",
    index: "content_index",
    added: "response.content_part.added",
    delta: "response.reasoning_text.delta",
    done: "response.reasoning_text.done",
    part_done: "response.content_part.done",
};

impl Kind {
    const fn names(self) -> &'static Names {
        match self {
            Self::Summary => &SUMMARY,
            Self::Text => &TEXT,
        }
    }

    fn part(self, text: &str) -> Value {
        json!({"type": self.names().part, "text": text})
    }
}

impl Reasoning {
    pub(super) fn open(place: Place, provider: &'static str, out: &mut Events) -> Self {
        let (summary, content, sealed) = Default::default();
        let reasoning = Self { place, provider, summary, content, part: None, sealed };
        out.push("response.output_item.added", reasoning.place.of_item(&reasoning.item()));
        reasoning
    }

    pub(super) fn text(&mut self, kind: Kind, delta: &str, out: &mut Events) {
        if self.part.as_ref().is_none_or(|(open, _)| *open != kind) {
            self.close_part(out);
            let data = [(kind.names().index, self.index(kind)), ("part", kind.part(""))];
            out.push(kind.names().added, self.place.event(data));
            self.part = Some((kind, String::new()));
        }
        let data = [(kind.names().index, self.index(kind)), ("delta", json!(delta))];
        out.push(kind.names().delta, self.place.event(data));
        if let Some((_, text)) = &mut self.part {
            text.push_str(delta);
        }
    }

    pub(super) fn end_summary(&mut self, out: &mut Events) {
        if self.part.as_ref().is_some_and(|(kind, _)| *kind == Kind::Summary) {
            self.close_part(out);
        }
    }

    pub(super) fn seal(&mut self, part: Value) {
        self.sealed.push(part);
    }

    /// Ends the item; gives it and where it stands.
    pub(super) fn close(mut self, out: &mut Events) -> (usize, Value) {
        self.close_part(out);
        let item = self.item();
        out.push("response.output_item.done", self.place.of_item(&item));
        (self.place.index, item)
    }

    fn close_part(&mut self, out: &mut Events) {
        let Some((kind, text)) = self.part.take() else { return };
        let at = (kind.names().index, self.index(kind));
        out.push(kind.names().done, self.place.event([at.clone(), ("text", json!(text))]));
        out.push(kind.names().part_done, self.place.event([at, ("part", kind.part(&text))]));
        match kind {
            Kind::Summary => self.summary.push(kind.part(&text)),
            Kind::Text => self.content.push(kind.part(&text)),
        }
    }

    fn index(&self, kind: Kind) -> Value {
        match kind {
            Kind::Summary => json!(self.summary.len()),
            Kind::Text => json!(self.content.len()),
        }
    }

    fn item(&self) -> Value {
        let mut item = Map::new();
        let mut put = |name: &str, value: Value| item.insert(name.to_owned(), value);
        put("type", json!("reasoning"));
        put("id", json!(self.place.id));
        put("summary", json!(self.summary));
        if !self.content.is_empty() {
            put("content", json!(self.content));
        }
        if !self.sealed.is_empty() {
            put("encrypted_content", json!(replay::seal(self.provider, &self.sealed)));
        }
        Value::Object(item)
    }
}
