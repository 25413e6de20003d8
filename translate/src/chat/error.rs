//! Errors, as the different servers tell them: in an answer that is none, or in the middle of one.
//!
//! `{"error":{…}}` (OpenAI and most), `{"error":"…"}` (Ollama), `[{"error":{…}}]` (Gemini's bridge),
//! `{"object":"error","message":…}` (Mistral, older vLLM), `{"detail":…}` (FastAPI), or a page of a proxy.
//!
//! Invariant: a status decides, where there is one; a message is the provider's own, and bounded.

use crate::fact::{ErrorKind, ProviderError};
use serde_json::Value;

/// Most characters of a message: what a person reads, and not the body of a request that a server quotes.
const MESSAGE_MAX_CHARS: usize = 1000;

/// Reads the body of an answer whose status is no success.
#[must_use]
pub fn error(status: u16, body: &[u8]) -> ProviderError {
    let kind = kind_of_status(status);
    let text = String::from_utf8_lossy(body);
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => {
            let first = value.get(0).unwrap_or(&value);
            let error = first.get("error").filter(|error| !error.is_null()).unwrap_or(first);
            ProviderError { kind, ..read(error) }
        }
        // A page for people is no message.
        Err(_) if text.trim_start().starts_with('<') => {
            ProviderError { kind, code: None, message: String::new() }
        }
        Err(_) => ProviderError { kind, code: None, message: bounded(text.trim()) },
    }
}

/// The error that a chunk or a choice tells, if it does.
pub fn told(chunk: &Value) -> Option<ProviderError> {
    let is_error = chunk.get("object").is_some_and(|object| object == "error");
    let error = chunk.get("error").filter(|error| !error.is_null()).or(is_error.then_some(chunk))?;
    Some(read(error))
}

/// Reads the error itself.
pub fn read(error: &Value) -> ProviderError {
    let code = [error.get("code"), error.get("type")].into_iter().flatten().find_map(word);
    let status = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let texts = [error.get("message"), error.get("detail"), Some(error)];
    let message = texts.into_iter().flatten().find_map(|text| match text {
        Value::String(text) => Some(bounded(text)),
        Value::Array(details) => details.iter().find_map(|detail| detail.get("msg")?.as_str().map(bounded)),
        _ => None,
    });
    let kind = status.filter(|status| *status >= 400).map(kind_of_status);
    let kind =
        kind.or_else(|| [error.get("type"), error.get("code")].into_iter().flatten().find_map(kind_of_word));
    ProviderError { kind: kind.unwrap_or(ErrorKind::Server), code, message: message.unwrap_or_default() }
}

fn word(code: &Value) -> Option<String> {
    match code {
        Value::String(code) if !code.is_empty() => Some(bounded(code)),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MESSAGE_MAX_CHARS).collect()
}

fn kind_of_word(word: &Value) -> Option<ErrorKind> {
    let word = word.as_str()?;
    let kinds = [
        (ErrorKind::TooManyRequests, ["rate_limit", "quota", "too_many", "RateLimit"]),
        (ErrorKind::Credential, ["authentication", "api_key", "permission", "Unauthorized"]),
        (ErrorKind::NotFound, ["not_found", "NotFound", "not_exist", "unknown_model"]),
        (ErrorKind::InvalidRequest, ["invalid", "BadRequest", "context_length", "bad_request"]),
    ];
    kinds.into_iter().find(|(_, words)| words.iter().any(|part| word.contains(part))).map(|(kind, _)| kind)
}

/// 402 is an account that has run out of money: a quota that is used up.
fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Credential,
        404 => ErrorKind::NotFound,
        402 | 429 => ErrorKind::TooManyRequests,
        408 => ErrorKind::Server,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    }
}
