//! The events of a response stream.
//!
//! Invariant: an event's name is its payload's `type`, as the specification demands, and it is written as one line of data.

use crate::sse;
use serde_json::Value;

/// What a stream ends with, after its terminal event.
pub const DONE: &str = "data: [DONE]\n\n";

/// One event of a response stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its type, e.g. `response.output_text.delta`.
    pub kind: &'static str,
    /// Its payload, with `type` and `sequence_number`.
    pub data: Value,
}

impl Event {
    /// As text for the wire.
    #[must_use]
    pub fn to_sse(&self) -> String {
        sse::write(self.kind, &self.data.to_string())
    }

    /// Whether the stream ends with it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.kind, "response.completed" | "response.incomplete" | "response.failed")
    }
}

/// Numbers events, and keeps them until they are taken.
#[derive(Debug)]
pub(crate) struct Events {
    next: u64,
    events: Vec<Event>,
}

impl Events {
    pub(crate) const fn new() -> Self {
        Self { next: 0, events: Vec::new() }
    }

    /// Adds an event; `data` is its payload without type and number.
    pub(crate) fn push(&mut self, kind: &'static str, mut data: Value) {
        if let Some(members) = data.as_object_mut() {
            members.insert("type".into(), kind.into());
            members.insert("sequence_number".into(), self.next.into());
        }
        self.next += 1;
        self.events.push(Event { kind, data });
    }

    pub(crate) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
