//! An answer as a protocol writes it: whole, and as the events that lead there.
//!
//! Invariant: both forms say the same.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::knobs::Eol;

/// One server-sent event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// What stands behind `event:`; protocols whose events have no names leave the line away.
    pub(super) name: Option<&'static str>,
    pub(super) data: Value,
    /// Whether it carries a piece of content.
    pub(super) is_delta: bool,
}

impl Event {
    pub(super) fn unnamed(data: Value, is_delta: bool) -> Self {
        Self { name: None, data, is_delta }
    }
}

/// The answer to a call.
#[derive(Debug)]
pub(super) struct Answer {
    /// Of the whole form; a stream that begins is 200.
    pub(super) status: u16,
    pub(super) whole: Value,
    pub(super) events: Vec<Event>,
    /// Whether a stream ends with `data: [DONE]`.
    pub(super) done_marker: bool,
    /// How the lines of a stream end.
    pub(super) eol: Eol,
}

impl Answer {
    pub(super) fn new(whole: Value, events: Vec<Event>) -> Self {
        Self { status: 200, whole, events, done_marker: false, eol: Eol::Lf }
    }
}

/// An id that no other answer has.
pub(super) fn id(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(rand::random::<[u8; 24]>()))
}

#[expect(clippy::disallowed_methods, reason = "the provider stands for another company's machine")]
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_secs()).unwrap_or_default()
}
