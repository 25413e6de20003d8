//! What an error of the API means; <https://platform.claude.com/docs/en/api/errors>.
//!
//! Invariant: whatever the body is, there is an error with a kind.

use crate::fact::{ErrorKind, ProviderError};
use serde_json::Value;

/// Most characters of a body that is not the API's own, kept as the message: what is between may answer pages of HTML.
const FOREIGN_BODY_MAX_CHARS: usize = 500;

/// Reads a non-200 answer. The type decides where it is known: a 400 may say that it is overloaded, behind a gateway.
#[must_use]
pub fn error(status: u16, body: &[u8]) -> ProviderError {
    match serde_json::from_slice::<Value>(body).ok().as_ref().and_then(|body| body.get("error")) {
        Some(error) => read(error, of_status(status)),
        None => ProviderError {
            kind: of_status(status),
            code: None,
            message: String::from_utf8_lossy(body).chars().take(FOREIGN_BODY_MAX_CHARS).collect(),
        },
    }
}

/// Reads an error that came in the middle of an answer.
pub(super) fn in_stream(event: &Value) -> ProviderError {
    read(event.get("error").unwrap_or(&Value::Null), ErrorKind::Server)
}

fn read(error: &Value, otherwise: ErrorKind) -> ProviderError {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    // The code names the cause, the type the broad kind of error.
    let code = error.get("details").and_then(|details| details.get("error_code")).and_then(Value::as_str);
    ProviderError {
        kind: text("type").and_then(of_type).unwrap_or(otherwise),
        code: code.or(text("type")).map(ToOwned::to_owned),
        message: text("message").or(error.as_str()).unwrap_or_default().to_owned(),
    }
}

fn of_type(name: &str) -> Option<ErrorKind> {
    match name {
        "invalid_request_error" | "request_too_large" | "conflict_error" => Some(ErrorKind::InvalidRequest),
        "authentication_error" | "permission_error" => Some(ErrorKind::Credential),
        "not_found_error" => Some(ErrorKind::NotFound),
        // The account's money has run out: a quota, as OpenAI's `insufficient_quota` is.
        "rate_limit_error" | "billing_error" => Some(ErrorKind::TooManyRequests),
        "timeout_error" | "api_error" | "overloaded_error" => Some(ErrorKind::Server),
        _ => None,
    }
}

fn of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Credential,
        404 => ErrorKind::NotFound,
        402 | 429 => ErrorKind::TooManyRequests,
        408 => ErrorKind::Server,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    }
}
