//! What is understood of whole answers, and of errors.
//!
//! Invariant: a whole answer says what its stream would have said.

use crate::{
    chat,
    fact::{ErrorKind, Fact, ProviderError},
};

macro_rules! answers {
    ($($name:ident)*) => {
        &[$((stringify!($name), include_str!(concat!("answers/", stringify!($name), ".json"))),)*]
    };
}

const ANSWERS: &[(&str, &str)] = answers!(
    calls calls_without_ids citations content_filter empty error function_call length logprobs reasoning refusal text
);

#[test]
fn every_whole_answer_is_understood() {
    for (name, answer) in ANSWERS {
        let facts = chat::whole(answer.as_bytes()).expect("readable");
        let ends = |fact: &&Fact| matches!(fact, Fact::Finished(_) | Fact::Failed(_));
        assert_eq!(facts.iter().filter(ends).count(), 1, "{name}");
        insta::assert_debug_snapshot!(format!("whole_{name}"), facts);
    }
}

#[test]
fn an_answer_that_says_nothing_has_failed() {
    for body in ["{}", "[]", "null", r#"{"choices": []}"#] {
        let facts = chat::whole(body.as_bytes()).expect("readable");
        assert!(matches!(facts.as_slice(), [Fact::Failed(_)]), "{body}: {facts:?}");
    }
    assert!(chat::whole(b"<html>").is_err());
    assert!(chat::whole(&[0xff, 0xfe]).is_err());
}

#[test]
fn every_form_of_error_is_understood() {
    use ErrorKind::*;
    let cases: [(u16, &str, ErrorKind, Option<&str>, &str); 16] = [
        (
            400,
            r#"{"error":{"message":"Unknown parameter","type":"invalid_request_error","param":"x","code":"unknown_parameter"}}"#,
            InvalidRequest,
            Some("unknown_parameter"),
            "Unknown parameter",
        ),
        (
            401,
            r#"{"error":{"message":"Wrong key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            Credential,
            Some("invalid_api_key"),
            "Wrong key",
        ),
        (403, r#"{"error":{"message":"No","type":"","code":null}}"#, Credential, None, "No"),
        (
            402,
            r#"{"error":{"message":"Insufficient credits","code":402}}"#,
            TooManyRequests,
            Some("402"),
            "Insufficient credits",
        ),
        (404, r#"{"error":"model 'x' not found"}"#, NotFound, None, "model 'x' not found"),
        (
            404,
            r#"{"object":"error","message":"no such model","type":"NotFoundError","param":null,"code":404}"#,
            NotFound,
            Some("404"),
            "no such model",
        ),
        (413, "", InvalidRequest, None, ""),
        (
            422,
            r#"{"detail":[{"loc":["body","n"],"msg":"Extra inputs are not permitted"}]}"#,
            InvalidRequest,
            None,
            "Extra inputs are not permitted",
        ),
        (422, r#"{"detail":"Bad"}"#, InvalidRequest, None, "Bad"),
        (
            429,
            r#"[{"error":{"code":429,"message":"Slow down","status":"RESOURCE_EXHAUSTED"}}]"#,
            TooManyRequests,
            Some("429"),
            "Slow down",
        ),
        (
            429,
            r#"{"message":"Requests rate limit exceeded"}"#,
            TooManyRequests,
            None,
            "Requests rate limit exceeded",
        ),
        (500, "Internal Server Error\n", Server, None, "Internal Server Error"),
        (502, "<html><body>502 Bad Gateway</body></html>", Server, None, ""),
        (503, "null", Server, None, ""),
        (529, "7", Server, None, ""),
        (302, "", Server, None, ""),
    ];
    for (status, body, kind, code, message) in cases {
        let expected = ProviderError { kind, code: code.map(str::to_owned), message: message.to_owned() };
        assert_eq!(chat::error(status, body.as_bytes()), expected, "{status} {body}");
    }
}

#[test]
fn an_errors_message_is_bounded_and_need_not_be_utf_8() {
    let long = chat::error(500, "é".repeat(5000).as_bytes());
    assert_eq!(long.message.chars().count(), 1000);
    assert_eq!(chat::error(500, b"a\xffb").message, "a\u{fffd}b");
}
