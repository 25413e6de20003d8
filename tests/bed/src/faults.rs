//! What the knobs in front of the Worker are set to, and what they count (`edge/knobs.mjs`).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::options::KvMode;

/// The positions of the knobs, kept here so that they survive a restart of the edge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Knobs {
    pub(crate) kv: KvMode,
    pub(crate) clock_offset_ms: i64,
}

impl Knobs {
    pub(crate) fn to_json(&self) -> Value {
        json!({ "kv": self.kv.name(), "clock_offset_ms": self.clock_offset_ms })
    }
}

/// How often the Worker asked for something since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct EdgeCounts {
    /// Keys read from KV.
    pub kv_reads: u64,
    /// Keys written to KV or deleted, also when refused.
    pub kv_puts: u64,
    /// Requests to any Durable Object.
    pub object_calls: u64,
}
