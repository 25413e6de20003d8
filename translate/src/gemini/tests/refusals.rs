//! What cannot be asked of the API, by the member's name.
//!
//! Invariant: nothing that a caller asks for is dropped in silence.

use super::{NEWER, SECOND, asked};
use crate::call::RefusalKind::{self, Invalid, Unsupported};
use serde_json::{Value, json};

fn check(cases: &[(Value, RefusalKind, &str)]) {
    for (asks, kind, param) in cases {
        let refusal = asked(asks).expect_err(&asks.to_string());
        assert_eq!((refusal.kind, refusal.param.as_str()), (*kind, *param), "{asks}");
    }
}

fn said(part: &Value) -> Value {
    json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "See:"}, part]}]})
}

#[test]
fn members_that_the_api_has_no_place_for_are_refused_by_name() {
    let tools = json!([{"type": "function", "name": "a"}]);
    check(&[
        (json!({"tools": tools, "parallel_tool_calls": false}), Unsupported, "parallel_tool_calls"),
        (json!({"tools": [{"type": "function", "name": "2a"}]}), Unsupported, "tools[0].name"),
        (json!({"text": {"verbosity": "low"}}), Unsupported, "text.verbosity"),
        (json!({"store": true}), Unsupported, "store"),
        (json!({"background": true}), Unsupported, "background"),
        (json!({"truncation": "auto"}), Unsupported, "truncation"),
        (json!({"service_tier": "scale"}), Unsupported, "service_tier"),
        (json!({"previous_response_id": "resp_1"}), Unsupported, "previous_response_id"),
        (json!({"conversation": "conv_1"}), Unsupported, "conversation"),
        (json!({"logit_bias": {"50256": -100}}), Unsupported, "logit_bias"),
        (json!({"n": 2}), Unsupported, "n"),
        (json!({"something_new": 1}), Unsupported, "something_new"),
    ]);
}

#[test]
fn efforts_that_a_model_does_not_have_are_refused() {
    check(&[
        (json!({"model": NEWER, "reasoning": {"effort": "none"}}), Unsupported, "reasoning.effort"),
        (
            json!({"model": "gemini-2.5-pro", "reasoning": {"effort": "none"}}),
            Unsupported,
            "reasoning.effort",
        ),
        (json!({"model": SECOND, "reasoning": {"effort": "xhigh"}}), Unsupported, "reasoning.effort"),
    ]);
}

#[test]
fn names_of_models_that_would_change_the_path_are_refused() {
    for model in [
        "",
        "..",
        "models/",
        "models/..",
        "a/b",
        "models/a/b",
        "a:countTokens",
        "a?key=1",
        "a#b",
        "a%2Fb",
        "a b",
        "é",
    ] {
        let refusal = asked(&json!({"model": model})).expect_err(model);
        assert_eq!((refusal.kind, refusal.param.as_str()), (Invalid, "model"), "{model}");
    }
}

#[test]
fn a_url_reaches_neither_into_the_providers_store_nor_beyond_the_web() {
    let image = |url: &str| said(&json!({"type": "input_image", "image_url": url, "detail": "auto"}));
    for url in [
        "https://generativelanguage.googleapis.com/v1beta/files/abc",
        "HTTPS://GenerativeLanguage.GoogleAPIs.com:443/v1beta/files/abc",
        "https://generativelanguage.googleapis.com./v1beta/files/abc",
        "https://example.org@generativelanguage.googleapis.com/v1beta/files/abc",
        "https://generativelanguage%2Egoogleapis.com/v1beta/files/abc",
        "https://generativelanguage。googleapis.com/v1beta/files/abc",
        "https://generativelanguage.googleapis.com\\@example.org/",
        "gs://bucket/object.png",
        "file:///etc/passwd",
        "files/abc",
        "https://",
    ] {
        check(&[(image(url), Unsupported, "input[0].content[1].image_url")]);
    }
    let file = |id: &str| said(&json!({"type": "input_file", "file_id": id}));
    check(&[
        (file("file-abc"), Invalid, "input[0].content[1].file_id"),
        (file("files/../models/x"), Invalid, "input[0].content[1].file_id"),
        (file("files/"), Invalid, "input[0].content[1].file_id"),
    ]);
    let url = said(&json!({"type": "input_file", "file_url": "ftp://example.org/a.pdf"}));
    check(&[(url, Unsupported, "input[0].content[1].file_url")]);
}

#[test]
fn details_that_a_model_does_not_have_are_refused() {
    let image = |detail: &str| json!({"type": "input_image", "image_url": "https://example.org/a.png", "detail": detail});
    let mixed =
        json!({"model": SECOND, "input": [{"role": "user", "content": [image("high"), image("low")]}]});
    check(&[
        (mixed, Unsupported, "input[0].content[1].detail"),
        (said(&image("original")), Unsupported, "input[0].content[1].detail"),
    ]);
}

#[test]
fn calls_and_outputs_must_fit_together() {
    let call = |arguments: &str| json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments});
    let output = |output: Value| json!({"type": "function_call_output", "call_id": "c", "output": output});
    let image = |url: &str| json!([{"type": "input_image", "image_url": url, "detail": "auto"}]);
    let audio = json!([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]);
    let (inline, url) = (image("data:image/png;base64,AAAA"), image("https://example.org/a.png"));
    check(&[
        (json!({"input": [call("[]")]}), Invalid, "input[0].arguments"),
        (json!({"input": [call("{\"a\": ")]}), Invalid, "input[0].arguments"),
        (json!({"input": [output(json!("x")), call("{}")]}), Invalid, "input[0].call_id"),
        (json!({"input": [call("{}"), output(url)]}), Unsupported, "input[1].output[0]"),
        (json!({"input": [call("{}"), output(audio)]}), Unsupported, "input[1].output[0]"),
        (json!({"model": SECOND, "input": [call("{}"), output(inline)]}), Unsupported, "input[1].output[0]"),
        (json!({"input": [{"role": "system", "content": "Be brief."}]}), Invalid, "input"),
    ]);
}
