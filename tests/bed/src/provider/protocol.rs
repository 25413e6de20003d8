//! The protocols that the provider speaks: which path speaks which, who is let in, and how a refusal is written.
//!
//! Invariant: nothing is answered in another protocol's words than the request was asked in.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::connection::Head;
use super::fault::Fault;
use super::{anthropic, gemini};

/// What a path speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// OpenAI's Responses API.
    Responses,
    /// OpenAI's embeddings.
    Embeddings,
    /// OpenAI's moderations.
    Moderations,
    /// Chat completions, as OpenAI and everything that resembles it.
    Chat,
    /// Anthropic's Messages API.
    Anthropic,
    /// Gemini's `generateContent` and `streamGenerateContent`.
    Gemini,
}

impl Protocol {
    /// The protocol of a path, whatever it begins with.
    pub(super) fn of(path: &str) -> Option<Self> {
        let ends = |end: &str| path.ends_with(end);
        match () {
            () if ends("/responses") || ends("/responses/compact") => Some(Self::Responses),
            () if ends("/embeddings") => Some(Self::Embeddings),
            () if ends("/moderations") => Some(Self::Moderations),
            () if ends("/chat/completions") => Some(Self::Chat),
            () if ends("/messages") => Some(Self::Anthropic),
            () if gemini::target(path).is_some() => Some(Self::Gemini),
            () => None,
        }
    }

    /// The protocol of a caller that asks for something all protocols have, by how it shows who it is.
    pub(super) fn of_caller(head: &Head) -> Self {
        match () {
            () if head.header("anthropic-version").is_some() => Self::Anthropic,
            () if gemini::shows_key(head) => Self::Gemini,
            () => Self::Responses,
        }
    }

    /// Refuses a caller without the protocol's own credentials.
    pub(super) fn admit(self, head: &Head) -> Result<(), Fault> {
        match self {
            Self::Responses | Self::Embeddings | Self::Moderations | Self::Chat => match head.bearer() {
                Some(_) => Ok(()),
                None => Err(Fault::of(401, "You didn't provide an API key.")),
            },
            Self::Anthropic => anthropic::admit(head),
            Self::Gemini => gemini::admit(head),
        }
    }

    /// The body of a refusal.
    pub(super) fn problem(self, fault: &Fault, request_id: &str) -> Value {
        match self {
            Self::Responses | Self::Embeddings | Self::Moderations | Self::Chat => openai_problem(fault),
            Self::Anthropic => anthropic::problem(fault, request_id),
            Self::Gemini => gemini::problem(fault),
        }
    }

    /// The headers of every answer. The first is the request's id.
    pub(super) fn headers(self) -> Vec<(&'static str, String)> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = format!("req_fake_{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        match self {
            Self::Responses | Self::Embeddings | Self::Moderations | Self::Chat => {
                vec![("x-request-id", id), ("openai-processing-ms", "1".to_owned())]
            }
            Self::Anthropic => vec![("request-id", id)],
            Self::Gemini => vec![("x-goog-request-id", id), ("server-timing", "gfet4t7; dur=1".to_owned())],
        }
    }

    /// The answer to `GET /models`.
    pub(super) fn models(self) -> Value {
        match self {
            Self::Responses | Self::Embeddings | Self::Moderations | Self::Chat => {
                json!({"object": "list", "data": [
                    {"id": "fake-1", "object": "model", "created": 0, "owned_by": "alphagate"},
                ]})
            }
            Self::Anthropic => anthropic::models(),
            Self::Gemini => gemini::models(),
        }
    }
}

/// OpenAI's envelope.
pub(super) fn openai_problem(fault: &Fault) -> Value {
    let kind = match fault.status {
        401 | 403 => "authentication_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    json!({"error": {"message": fault.message, "type": kind, "param": fault.param, "code": fault.code}})
}
