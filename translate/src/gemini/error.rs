//! Errors of the API: `{"error":{code,message,status,details}}`, after <https://ai.google.dev/gemini-api/docs/troubleshooting> and
//! <https://cloud.google.com/apis/design/errors>. Streaming methods wrap the same into an array.
//!
//! A key that is not valid is told as `INVALID_ARGUMENT`; only the details say what it is. A `FAILED_PRECONDITION` is the
//! account's: no billing, or a place that is not served.
//!
//! Invariant: any bytes give an error; nothing but the provider's own message is said to be its message.

use crate::fact::{ErrorKind, ProviderError};
use serde::Deserialize;
use serde_json::Value;

/// Most characters of a message that are told, as of chat completions: enough for a sentence or ten.
pub(super) const MESSAGE_MAX_CHARS: usize = 1_000;

/// The list comes first: a struct, too, can be read from a list, member by member.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Body {
    Listed(Vec<Envelope>),
    One(Envelope),
}

#[derive(Debug, Deserialize)]
struct Envelope {
    error: Inner,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inner {
    code: Value,
    message: Option<String>,
    status: Option<String>,
    details: Option<Vec<Detail>>,
}

/// `google.rpc.ErrorInfo` has a reason, `google.rpc.RetryInfo` a delay.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
}

/// What an answer means whose status is not 200.
#[must_use]
pub fn error(status: u16, body: &[u8]) -> ProviderError {
    let inner = read(body).unwrap_or_default();
    let kind = inner.kind(status);
    let message = inner.message.as_deref().unwrap_or_default().chars().take(MESSAGE_MAX_CHARS).collect();
    ProviderError { kind, code: inner.code(), message }
}

/// How long the provider asks to wait, in milliseconds: `RetryInfo` in the details, since this API sends no `retry-after`.
#[must_use]
pub fn retry_delay_ms(body: &[u8]) -> Option<u64> {
    let details = read(body)?.details?;
    let delay = details.into_iter().find_map(|detail| detail.retry_delay)?;
    let (seconds, fraction) = delay.strip_suffix('s').map(|it| it.split_once('.').unwrap_or((it, "")))?;
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    seconds.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(thousandths.parse().ok()?)
}

/// An error in place of a chunk; its own code stands for the status.
pub(super) fn in_stream(data: &str) -> Option<ProviderError> {
    let data = data.as_bytes();
    let code = read(data)?.code.as_u64().and_then(|code| u16::try_from(code).ok());
    Some(error(code.unwrap_or(500), data))
}

fn read(body: &[u8]) -> Option<Inner> {
    match serde_json::from_slice(body).ok()? {
        Body::One(envelope) => Some(envelope.error),
        Body::Listed(envelopes) => envelopes.into_iter().next().map(|envelope| envelope.error),
    }
}

impl Inner {
    fn kind(&self, status: u16) -> ErrorKind {
        let reasons = || self.details.iter().flatten().filter_map(|detail| detail.reason.as_deref());
        if reasons().any(|reason| reason.starts_with("API_KEY_")) {
            return ErrorKind::Credential;
        }
        match self.status.as_deref() {
            Some("UNAUTHENTICATED" | "PERMISSION_DENIED" | "FAILED_PRECONDITION") => ErrorKind::Credential,
            Some("NOT_FOUND") => ErrorKind::NotFound,
            Some("RESOURCE_EXHAUSTED") => ErrorKind::TooManyRequests,
            Some("INVALID_ARGUMENT" | "OUT_OF_RANGE") => ErrorKind::InvalidRequest,
            Some("INTERNAL" | "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "ABORTED" | "CANCELLED") => {
                ErrorKind::Server
            }
            _ => by_status(status),
        }
    }

    /// The reason if there is one, since it says more than the status.
    fn code(&self) -> Option<String> {
        let mut reasons = self.details.iter().flatten().filter_map(|detail| detail.reason.as_deref());
        let code = reasons.next().or(self.status.as_deref()).or_else(|| self.code.as_str());
        code.map(str::to_owned)
    }
}

fn by_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Credential,
        404 => ErrorKind::NotFound,
        429 => ErrorKind::TooManyRequests,
        408 | 499 => ErrorKind::Server,
        400..=498 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    }
}
