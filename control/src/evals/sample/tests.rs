//! Answers of endpoints, and what graders see of them.

use super::*;
use crate::evals::source::{InputMessages, Kind};
use alphagate_contract::job::{Bytes, Report};

fn ask() -> Ask {
    let params = json!({"temperature": 0.5}).as_object().unwrap().clone();
    let sampling = Sampling::accept(Kind::Responses, params).unwrap();
    Ask { model: "poet".into(), messages: InputMessages::Template { template: Vec::new() }, sampling }
}

fn report(ending: Ending, body: &Value) -> Report {
    Report { result: Some(Bytes(body.to_string().into_bytes())), ..Report::of(ending) }
}

fn answered(status: u16) -> Ending {
    Ending::Answered { status, request_id: None, retry_after_ms: None }
}

#[test]
fn an_answer_becomes_a_sample() {
    let body = json!({
        "status": "completed", "model": "poet",
        "output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "{\"a\""}, {"type": "output_text", "text": ":1}"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        ],
        "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_tokens_details": {"cached_tokens": 2}},
    });
    let input = [
        json!({"role": "user", "content": "q"}),
        json!({"role": "user", "content": [{"type": "input_text", "text": "r"}]}),
    ];
    let sample = of_answer(&ask(), &input, &body);
    let expected = json!({
        "error": null, "finish_reason": "tool_calls", "model": "poet", "seed": null, "temperature": 0.5, "top_p": null,
        "max_completion_tokens": null,
        "input": [{"role": "user", "content": "q"}, {"role": "user", "content": "[{\"text\":\"r\",\"type\":\"input_text\"}]"}],
        "output": [{"role": "assistant", "content": "{\"a\":1}"}], "output_text": "{\"a\":1}", "output_json": {"a": 1},
        "output_tools": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "cached_tokens": 2, "total_tokens": 7},
    });
    assert_eq!(sample, expected);
    let seen = for_graders(&sample);
    assert_eq!(seen["choices"][0]["message"]["content"], "{\"a\":1}");
    assert_eq!(seen["choices"][0]["message"]["tool_calls"][0]["id"], "c");
}

#[test]
fn why_an_answer_ended_is_told() {
    let reason = |body: Value| of_answer(&ask(), &[], &body)["finish_reason"].clone();
    assert_eq!(reason(json!({"status": "completed", "output": []})), "stop");
    assert_eq!(
        reason(json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}})),
        "length"
    );
    assert_eq!(
        reason(json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}})),
        "content_filter"
    );
}

#[test]
fn a_fault_says_whose_it_is() {
    let refused = json!({"error": {"code": "model_not_found", "message": "There is no such endpoint."}});
    let cases = [
        (Some(Outcome::Failed), Some(report(answered(404), &refused)), "model_not_found", true),
        (Some(Outcome::Failed), Some(report(answered(400), &json!([]))), "sample_refused", true),
        (Some(Outcome::Timeout), None, "sample_timeout", true),
        (Some(Outcome::Infrastructure), None, "sample_server_error", false),
        (
            Some(Outcome::Infrastructure),
            Some(report(Ending::Unanswered { message: "gone".into() }, &json!(1))),
            "sample_server_error",
            false,
        ),
        (
            Some(Outcome::Passed),
            Some(report(answered(200), &json!({"status": "failed", "error": {"code": "server_error"}}))),
            "server_error",
            false,
        ),
        (Some(Outcome::Passed), None, "sample_unreadable", false),
        (None, None, "canceled", false),
    ];
    for (outcome, report, code, user_fault) in cases {
        let fault = answer(outcome, report.as_ref()).unwrap_err();
        assert_eq!((fault.code.as_str(), fault.user_fault), (code, user_fault), "{outcome:?}");
        assert_eq!(of_fault(&ask(), &[], &fault)["error"]["code"], code);
    }
}

#[test]
fn a_sample_that_came_with_the_data_is_completed() {
    let given = json!({"output_text": "[1]"});
    let seen = for_graders(&given);
    assert_eq!(
        (&seen["output_json"], &seen["choices"][0]["message"]["content"]),
        (&json!([1]), &json!("[1]"))
    );
    let shown = shown(given);
    assert_eq!(
        (&shown["output"][0]["content"], &shown["error"], &shown["usage"]["total_tokens"]),
        (&json!("[1]"), &Value::Null, &json!(0))
    );
}
