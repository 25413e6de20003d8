//! The API's errors, as its documentation shows them.
//!
//! Invariant: whatever the body is, there is an error of the right kind.

use super::event;
use crate::fact::{ErrorKind, Fact, ProviderError};
use crate::gemini::{Reader, error, retry_delay_ms};
use serde_json::{Value, json};

fn api_error(code: u16, status: &str, details: &Value) -> Value {
    json!({"error": {"code": code, "message": format!("It is {status}."), "status": status, "details": details}})
}

fn key_error() -> Value {
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    });
    api_error(400, "INVALID_ARGUMENT", &json!([info]))
}

fn quota_error(delay: &str) -> Value {
    api_error(
        429,
        "RESOURCE_EXHAUSTED",
        &json!([
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerDay"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
        ]),
    )
}

#[test]
fn an_errors_status_says_whose_fault_it_is() {
    let none = json!([]);
    let cases = [
        (400, api_error(400, "INVALID_ARGUMENT", &none), ErrorKind::InvalidRequest, Some("INVALID_ARGUMENT")),
        (
            400,
            api_error(400, "FAILED_PRECONDITION", &none),
            ErrorKind::Credential,
            Some("FAILED_PRECONDITION"),
        ),
        (400, key_error(), ErrorKind::Credential, Some("API_KEY_INVALID")),
        (400, json!([key_error()]), ErrorKind::Credential, Some("API_KEY_INVALID")),
        (401, api_error(401, "UNAUTHENTICATED", &none), ErrorKind::Credential, Some("UNAUTHENTICATED")),
        (403, api_error(403, "PERMISSION_DENIED", &none), ErrorKind::Credential, Some("PERMISSION_DENIED")),
        (404, api_error(404, "NOT_FOUND", &none), ErrorKind::NotFound, Some("NOT_FOUND")),
        (429, quota_error("26s"), ErrorKind::TooManyRequests, Some("RESOURCE_EXHAUSTED")),
        (429, json!([quota_error("26s")]), ErrorKind::TooManyRequests, Some("RESOURCE_EXHAUSTED")),
        (499, api_error(499, "CANCELLED", &none), ErrorKind::Server, Some("CANCELLED")),
        (500, api_error(500, "INTERNAL", &none), ErrorKind::Server, Some("INTERNAL")),
        (503, api_error(503, "UNAVAILABLE", &none), ErrorKind::Server, Some("UNAVAILABLE")),
        (504, api_error(504, "DEADLINE_EXCEEDED", &none), ErrorKind::Server, Some("DEADLINE_EXCEEDED")),
        (
            400,
            json!({"error": {"code": "invalid_request", "message": "No."}}),
            ErrorKind::InvalidRequest,
            Some("invalid_request"),
        ),
    ];
    for (status, body, kind, code) in cases {
        let told = error(status, body.to_string().as_bytes());
        assert_eq!((told.kind, told.code.as_deref()), (kind, code), "{body}");
        assert!(!told.message.is_empty(), "{body}");
    }
}

#[test]
fn a_body_that_is_no_error_leaves_the_status() {
    let cases = [
        (400, ErrorKind::InvalidRequest),
        (401, ErrorKind::Credential),
        (404, ErrorKind::NotFound),
        (408, ErrorKind::Server),
        (413, ErrorKind::InvalidRequest),
        (429, ErrorKind::TooManyRequests),
        (302, ErrorKind::Server),
        (502, ErrorKind::Server),
    ];
    for (status, kind) in cases {
        for body in
            [&b""[..], b"<html>Bad gateway</html>", b"[]", b"{\"error\":\"no\"}", b"\xff\xfe", b"null"]
        {
            assert_eq!(error(status, body), ProviderError { kind, code: None, message: String::new() });
        }
    }
}

#[test]
fn a_delay_is_read_to_the_millisecond() {
    let cases = [
        ("26s", Some(26_000)),
        ("26.837487s", Some(26_837)),
        ("0.5s", Some(500)),
        ("0s", Some(0)),
        ("", None),
        ("s", None),
        ("-1s", None),
        ("1.xs", None),
        ("1m", None),
        ("99999999999999999999s", None),
        ("18446744073709551s", Some(18_446_744_073_709_551_000)),
        ("18446744073709551.7s", None),
    ];
    for (delay, expected) in cases {
        assert_eq!(retry_delay_ms(quota_error(delay).to_string().as_bytes()), expected, "{delay}");
    }
    assert_eq!(retry_delay_ms(key_error().to_string().as_bytes()), None);
}

#[test]
fn an_error_in_a_stream_ends_it() {
    for body in [quota_error("1s"), json!([quota_error("1s")])] {
        let mut reader = Reader::default();
        let facts = reader.event(&event(&body)).unwrap();
        let [Fact::Failed(error)] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!(error.kind, ErrorKind::TooManyRequests);
        assert_eq!(reader.event(&event(&body)), Ok(Vec::new()), "told once");
    }
}

#[test]
fn a_message_is_bounded() {
    let body = json!({"error": {"code": 500, "message": "é".repeat(2_000), "status": "INTERNAL"}});
    assert_eq!(error(500, body.to_string().as_bytes()).message, "é".repeat(1_000));
}
