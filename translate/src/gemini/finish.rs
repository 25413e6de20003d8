//! Why the model ended, <https://ai.google.dev/api/generate-content#FinishReason>.
//!
//! Whoever stops an answer for what it says is a filter: it is incomplete. An answer that went wrong has failed: the caller
//! would else take half a call for a whole answer. So does a reason that is not known yet. A prompt that is blocked is
//! filtered, whatever it is blocked for: the answer is incomplete and empty.
//!
//! Invariant: an answer counts as done only if its reason is `STOP`.

use super::error::MESSAGE_MAX_CHARS;
use crate::fact::{ErrorKind, Fact, Finish, ProviderError};

/// The end that a `finishReason` means.
pub(super) fn of(reason: &str, message: Option<&str>) -> Fact {
    let kind = match reason {
        "STOP" => return Fact::Finished(Finish::Done),
        "MAX_TOKENS" | "CONTINUATION" => return Fact::Finished(Finish::Length),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION" => {
            return Fact::Finished(Finish::Filter);
        }
        "MISSING_THOUGHT_SIGNATURE" => ErrorKind::InvalidRequest,
        "PUP_LIMITED_DISABLED" => ErrorKind::Credential,
        _ => ErrorKind::Model,
    };
    let message = message.map_or_else(|| format!("The model stopped with {reason}."), str::to_owned);
    let message = message.chars().take(MESSAGE_MAX_CHARS).collect();
    Fact::Failed(ProviderError { kind, code: Some(reason.to_owned()), message })
}
