//! What is said about an answer besides its content: tokens, and why it ended.
//!
//! Invariant: a count that a later report leaves out is the earlier one; counts never overflow.

use crate::fact::{Fact, Finish, Usage};
use serde_json::Value;

/// The API's counts, of which each report may leave some out.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    uncached: u64,
    cache_written: u64,
    cache_read: u64,
    output: u64,
    thinking: u64,
}

impl Counts {
    /// Reads a `usage` object, if it is one.
    pub(super) fn read(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage else { return };
        let put = |count: &mut u64, name: &str| {
            if let Some(read) = usage.get(name).and_then(Value::as_u64) {
                *count = read;
            }
        };
        put(&mut self.uncached, "input_tokens");
        put(&mut self.cache_written, "cache_creation_input_tokens");
        put(&mut self.cache_read, "cache_read_input_tokens");
        put(&mut self.output, "output_tokens");
        let thinking = usage.get("output_tokens_details").and_then(|details| details.get("thinking_tokens"));
        if let Some(thinking) = thinking.and_then(Value::as_u64) {
            self.thinking = thinking;
        }
    }

    /// The API counts input apart that was written to its cache or read from it; the protocol counts all together.
    pub(super) fn usage(self) -> Fact {
        Fact::Usage(Usage {
            input_tokens: self.uncached.saturating_add(self.cache_written).saturating_add(self.cache_read),
            cached_tokens: self.cache_read,
            output_tokens: self.output,
            reasoning_tokens: self.thinking,
        })
    }
}

/// What `stop_reason` and `stop_details` mean; `of` is a message, or the delta of one. Nothing while there is no reason.
///
/// | `stop_reason` | means |
/// | --- | --- |
/// | `end_turn`, `tool_use`, `stop_sequence` | done |
/// | `max_tokens`, `model_context_window_exceeded` | cut off: `incomplete`, by length |
/// | `pause_turn` | not done either: the protocol's only word for "to be gone on with" is the same |
/// | `refusal` | a classifier of the provider's stepped in: `incomplete`, by a filter; its explanation is a refusal |
/// | one of the future | done: the API says that there will be new ones, and that the answer is whole |
pub(super) fn ending(of: &Value) -> Vec<Fact> {
    let Some(reason) = of.get("stop_reason").and_then(Value::as_str) else { return Vec::new() };
    let mut facts = Vec::new();
    let finish = match reason {
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => Finish::Length,
        "refusal" => {
            let details = of.get("stop_details");
            let explanation = details.and_then(|details| details.get("explanation")).and_then(Value::as_str);
            let explanation = explanation.filter(|explanation| !explanation.is_empty());
            facts.extend(explanation.map(|explanation| Fact::Refusal(explanation.to_owned())));
            Finish::Filter
        }
        _ => Finish::Done,
    };
    facts.push(Fact::Finished(finish));
    facts
}
