//! Where an item stands in its response, and what every event about it says of that.
//!
//! Invariant: ids are derived from the response's id and the item's place alone, and no two items share one.

use serde_json::{Value, json};

/// Most characters of a response's id that its items' ids carry: `call_` and the place fit into the 64 of a `call_id`.
const STEM_MAX_CHARS: usize = 48;

/// Where an item stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: String,
    pub(super) index: usize,
}

impl Place {
    /// The place at `index`; `prefix` tells the kinds of items apart.
    pub(super) fn new(response_id: &str, prefix: &str, index: usize) -> Self {
        Self { id: derive(response_id, prefix, index), index }
    }

    /// The payload of an event about something in the item.
    pub(super) fn event<const N: usize>(&self, members: [(&str, Value); N]) -> Value {
        let mut data = json!({"item_id": self.id, "output_index": self.index});
        if let Some(data) = data.as_object_mut() {
            data.extend(members.map(|(name, value)| (name.to_owned(), value)));
        }
        data
    }

    /// The payload of an item's first and last event.
    pub(super) fn of_item(&self, item: &Value) -> Value {
        json!({"output_index": self.index, "item": item})
    }
}

/// An id of something at this place of the response.
pub(super) fn derive(response_id: &str, prefix: &str, index: usize) -> String {
    let stem = response_id.strip_prefix("resp_").unwrap_or(response_id);
    let long = stem.chars().count().saturating_sub(STEM_MAX_CHARS);
    let stem: String = stem.chars().skip(long).collect();
    format!("{prefix}_{stem}_{index}")
}
