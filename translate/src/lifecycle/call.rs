//! A call of a function whose arguments are being written.
//!
//! Invariant: the arguments are the deltas, byte for byte. A call that was written without any has `{}`: callers parse them.

use super::place::Place;
use crate::event::Events;
use serde_json::{Value, json};

/// The arguments of a call that has none.
const NONE: &str = "{}";

#[derive(Debug)]
pub(super) struct Call {
    place: Place,
    call_id: String,
    name: String,
    arguments: String,
}

impl Call {
    pub(super) fn open(place: Place, call_id: String, name: String, out: &mut Events) -> Self {
        let call = Self { place, call_id, name, arguments: String::new() };
        out.push("response.output_item.added", call.place.of_item(&call.item("in_progress")));
        call
    }

    pub(super) fn arguments(&mut self, delta: &str, out: &mut Events) {
        out.push("response.function_call_arguments.delta", self.place.event([("delta", json!(delta))]));
        self.arguments.push_str(delta);
    }

    /// Ends the call; gives the item and where it stands.
    pub(super) fn close(mut self, status: &'static str, out: &mut Events) -> (usize, Value) {
        if self.arguments.is_empty() {
            self.arguments(NONE, out);
        }
        let data = [("name", json!(self.name)), ("arguments", json!(self.arguments))];
        out.push("response.function_call_arguments.done", self.place.event(data));
        let item = self.item(status);
        out.push("response.output_item.done", self.place.of_item(&item));
        (self.place.index, item)
    }

    /// Where the call stands.
    pub(super) const fn index(&self) -> usize {
        self.place.index
    }

    fn item(&self, status: &'static str) -> Value {
        json!({
            "type": "function_call", "id": self.place.id, "status": status, "call_id": self.call_id, "name": self.name,
            "arguments": self.arguments,
        })
    }
}
