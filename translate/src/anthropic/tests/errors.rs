//! What errors of the API mean, with a status and in the middle of an answer.
//!
//! Invariant: there is an error for every body.

use super::{super::error, *};
use crate::fact::{
    ErrorKind::{self, Credential, InvalidRequest, NotFound, Server, TooManyRequests},
    ProviderError,
};

const DOCUMENTED: [(u16, &str, ErrorKind); 11] = [
    (400, "invalid_request_error", InvalidRequest),
    (401, "authentication_error", Credential),
    (402, "billing_error", TooManyRequests),
    (403, "permission_error", Credential),
    (404, "not_found_error", NotFound),
    (409, "conflict_error", InvalidRequest),
    (413, "request_too_large", InvalidRequest),
    (429, "rate_limit_error", TooManyRequests),
    (500, "api_error", Server),
    (504, "timeout_error", Server),
    (529, "overloaded_error", Server),
];

#[test]
fn every_documented_error_has_its_kind_with_a_status_and_in_a_stream() {
    for (status, name, kind) in DOCUMENTED {
        let body = json!({"type": "error", "error": {"type": name, "message": "No."}, "request_id": "req_1"});
        let expected = ProviderError { kind, code: Some(name.into()), message: "No.".into() };
        assert_eq!(error(status, body.to_string().as_bytes()), expected);
        assert_eq!(read(&[message_start(), body]).unwrap().last(), Some(&Fact::Failed(expected)));
        let unnamed = json!({"error": {"message": "No."}}).to_string();
        assert_eq!(
            error(status, unnamed.as_bytes()),
            ProviderError { kind, code: None, message: "No.".into() }
        );
    }
}

#[test]
fn the_cause_is_the_code_where_it_has_a_name() {
    let body = r#"{"error":{"type":"rate_limit_error","message":"","details":{"error_code":"contract_spend_limit_reached"}}}"#;
    assert_eq!(error(429, body.as_bytes()).code.as_deref(), Some("contract_spend_limit_reached"));
}

#[test]
fn a_body_that_is_not_the_apis_is_an_error_by_its_status() {
    let page = format!("<html>{}", "é".repeat(5_000));
    for (status, kind) in
        [(403, Credential), (408, Server), (422, InvalidRequest), (502, Server), (302, Server)]
    {
        let error = error(status, page.as_bytes());
        assert_eq!((error.kind, error.code), (kind, None), "{status}");
        assert_eq!(error.message.chars().count(), 500);
    }
    assert_eq!(error(500, b"\xff\x00"), error(500, b"\xff\x00"));
    assert_eq!(error(500, b""), ProviderError { kind: Server, code: None, message: String::new() });
    assert_eq!(error(500, br#"{"error":"no"}"#).message, "no");
}

#[test]
fn an_error_of_a_future_type_in_a_stream_is_the_servers() {
    let facts =
        read(&[json!({"type": "error", "error": {"type": "tired_error", "message": "Zzz"}})]).unwrap();
    let expected = ProviderError { kind: Server, code: Some("tired_error".into()), message: "Zzz".into() };
    assert_eq!(facts, [Fact::Failed(expected)]);
}
