//! A response's error, in the envelope that chat's callers read.
//!
//! Invariant: message and code are the response's own.

use serde_json::{Value, json};

/// `{"error":{…}}` of a failed response's `error`, or of an `error` event, nested or flat.
pub fn envelope(error: &Value) -> Value {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let code = text("code");
    let kind = text("type")
        .filter(|kind| *kind != "error")
        .unwrap_or_else(|| kind_of_code(code.unwrap_or_default()));
    json!({"error": {
        "message": text("message").unwrap_or("The provider failed."),
        "type": kind,
        "param": error.get("param").cloned().unwrap_or_default(),
        "code": code,
    }})
}

fn kind_of_code(code: &str) -> &'static str {
    match code {
        code if code.starts_with("rate_limit") => "rate_limit_error",
        code if code.contains("image") || code.starts_with("invalid") => "invalid_request_error",
        _ => "server_error",
    }
}
