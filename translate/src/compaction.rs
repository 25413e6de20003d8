//! A conversation made short: what a model is asked for it, and the summary as an item that any target understands.
//!
//! After the Open Responses specification of 2026-04-24, "Context compaction" (<https://www.openresponses.org/specification>):
//! a `compaction` item has an opaque `encrypted_content`, and is sent back as it came. Where a provider has no compaction of
//! its own, the model writes a summary, and that is the content.
//!
//! The text is not secret and not signed: it is the caller's own conversation, and who changes it could as well say something
//! else in a message.
//!
//! Invariant: what [`pack`] gives, [`unpack`] gives back.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// What the model is asked after the conversation.
pub const INSTRUCTION: &str = "Summarize the conversation above, so that it can be continued from your summary alone. Keep \
    what is wanted and why, what was decided, facts, names, numbers and identifiers word for word, results of tools that \
    matter, and what is still open. Answer with the summary only.";
/// What stands before the summary where it takes the conversation's place.
const HEADING: &str = "Summary of the conversation so far:";
/// Says that the text is ours, and in which form; another form gets another one.
const PREFIX: &str = "agc1.";

/// The text for `encrypted_content`.
#[must_use]
pub fn pack(summary: &str) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(summary))
}

/// The summary again; none: the text is not ours.
#[must_use]
pub fn unpack(content: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(content.strip_prefix(PREFIX)?).ok()?).ok()
}

/// The item that asks for a summary of what is before it.
#[must_use]
pub fn question() -> Value {
    said(INSTRUCTION)
}

/// The item that takes the place of a compaction item whose summary this is.
#[must_use]
pub fn message(summary: &str) -> Value {
    said(&format!("{HEADING}\n\n{summary}"))
}

fn said(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_summary_is_packed_in_one_form() {
        assert_eq!(pack("Café 1."), "agc1.Q2Fmw6kgMS4");
        assert_eq!(message("x")["content"][0]["text"], "Summary of the conversation so far:\n\nx");
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_and_nothing_else(summary in any::<String>(), tail in "[A-Za-z0-9_-]{0,20}") {
            prop_assert_eq!(unpack(&pack(&summary)), Some(summary.clone()));
            prop_assert_eq!(unpack(&summary), None);
            if let Some(unpacked) = unpack(&format!("{PREFIX}{tail}")) {
                prop_assert_eq!(pack(&unpacked), format!("{PREFIX}{tail}"));
            }
        }
    }
}
