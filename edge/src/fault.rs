//! Whose fault a failure is that a provider reports within its answer.
//!
//! Pure. A failure that the request itself caused would be the same at every target, and must not be tried again.

use serde::Deserialize;
use serde_json::Value;

/// Beginnings of codes and types by which providers say that the request is wrong.
const CALLERS: [&str; 7] = [
    "invalid",
    "unsupported",
    "context_length",
    "content_policy",
    "image_",
    "empty_image",
    "failed_to_download",
];

/// Whether an `error` event, or the error object in it, says that the request is wrong.
#[must_use]
pub fn of_error(error: &Value) -> bool {
    let inner = error.get("error").filter(|inner| inner.is_object()).unwrap_or(error);
    let says = |field: &str| inner.get(field).and_then(Value::as_str).is_some_and(is_callers);
    says("code") || says("type")
}

/// Whether the error of a failed response object says that the request is wrong.
#[must_use]
pub fn of_response(response: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Response {
        error: Option<Value>,
    }
    let error = serde_json::from_slice::<Response>(response).ok().and_then(|response| response.error);
    error.is_some_and(|error| of_error(&error))
}

fn is_callers(word: &str) -> bool {
    CALLERS.iter().any(|beginning| word.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_failure_is_the_callers_only_where_the_provider_says_so() {
        let cases = [
            (json!({"code": "server_error", "message": "x"}), false),
            (json!({"code": "rate_limit_exceeded"}), false),
            (json!({"code": null, "type": "error"}), false),
            (json!({"type": "error", "error": {"type": "overloaded_error"}}), false),
            (json!({"code": "invalid_prompt"}), true),
            (json!({"code": "image_too_large"}), true),
            (json!({"code": "context_length_exceeded"}), true),
            (json!({"type": "error", "error": {"type": "invalid_request_error", "code": null}}), true),
        ];
        for (error, callers) in cases {
            assert_eq!(of_error(&error), callers, "{error}");
            let response = json!({"status": "failed", "error": error}).to_string();
            assert_eq!(of_response(response.as_bytes()), callers, "{response}");
        }
        assert!(!of_response(b"{\"error\":null}") && !of_response(b"<html>"));
    }
}
