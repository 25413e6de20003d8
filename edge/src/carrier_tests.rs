//! Streams and answers of a target that speaks Responses, for callers of chat; and how the others end.

use super::*;
use crate::{carry, json_splice::Members};
use alphagate_contract::endpoint::VersionConfig;
use serde_json::json;

const CHAT: Carry = Carry { audience: Audience::Chat { include_usage: true }, adapted: None };

fn disguise() -> Disguise {
    Disguise {
        model: "poet".into(),
        provider_model: "m-secret".into(),
        instructions: Value::Null,
        hidden_instructions: Some("Hidden.".into()),
        defaults: vec![],
    }
}

fn life() -> Lifecycle {
    Lifecycle::new(disguise(), "resp_1".into(), 1)
}

fn native_stream() -> String {
    let response = |status: &str, usage: Value| {
        json!({"id": "resp_9", "object": "response", "created_at": 1, "model": "m-secret",
        "instructions": "Hidden.", "status": status, "output": [], "usage": usage})
    };
    let usage = json!({"input_tokens": 3, "output_tokens": 2});
    [
        json!({"type": "response.created", "sequence_number": 0, "response": response("in_progress", Value::Null)}),
        json!({"type": "response.output_text.delta", "sequence_number": 1, "output_index": 0, "content_index": 0, "delta": "Hello"}),
        json!({"type": "response.completed", "sequence_number": 2, "response": response("completed", usage)}),
    ]
    .iter()
    .map(|data| sse::event(data["type"].as_str().unwrap(), &data.to_string()))
    .collect()
}

#[test]
fn a_native_stream_is_told_to_a_caller_of_chat_in_any_pieces() {
    let mut texts = Vec::new();
    for size in [1, 7, 10_000] {
        let (mut life, mut carrier) = (life(), Carrier::new(&CHAT, &disguise(), "resp_1", 1).unwrap());
        let (mut text, mut terminals, mut content) = (String::new(), 0, false);
        for chunk in native_stream().as_bytes().chunks(size) {
            let told = carrier.feed(&mut life, chunk, 2);
            text += &told.text;
            terminals += u8::from(told.terminal);
            content |= told.content;
        }
        assert_eq!((terminals, content), (1, true));
        assert!(!text.contains("m-secret") && !text.contains("Hidden"), "{text}");
        assert!(text.contains("Hello") && text.ends_with("data: [DONE]\n\n"), "{text}");
        let (outcome, usage) = carrier.ended(&life).unwrap();
        assert_eq!((outcome, usage.unwrap().output_tokens), (Outcome::Completed, 2));
        texts.push(text);
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_once() {
    let (mut life, mut carrier) = (life(), Carrier::new(&CHAT, &disguise(), "resp_1", 1).unwrap());
    let cut = native_stream().find("event: response.completed").unwrap();
    carrier.feed(&mut life, &native_stream().as_bytes()[..cut], 2);
    assert!(!carrier.finish(&mut life, 2).terminal);
    let tail = carrier.fail(&mut life, &Code::UpstreamTimeout.into());
    assert!(tail.contains("upstream_timeout") && tail.ends_with("data: [DONE]\n\n"), "{tail}");
    assert_eq!(tail.matches("[DONE]").count(), 1);
    let mut own = life.clone();
    let resort = in_words_of(CHAT.audience, "poet", own.fail(&Code::UpstreamIncomplete.into(), &[]));
    assert!(resort.ends_with("data: [DONE]\n\n"), "{resort}");
}

fn adapted(chat: bool) -> (Carry, Disguise) {
    let target = json!({"base_url": "https://x/v1", "model": "m-secret", "protocol": "chat"});
    let config: VersionConfig = serde_json::from_value(json!({"targets": [target]})).unwrap();
    let (body, compose): (_, fn(&Members<'_>, &_, &_, &_) -> _) = if chat {
        (r#"{"model":"poet","messages":[{"role":"user","content":"x"}]}"#, carry::chat)
    } else {
        (r#"{"model":"poet","input":"x"}"#, carry::responses)
    };
    let members = Members::read(body.as_bytes()).unwrap();
    let outgoing = compose(&members, &config, &config.targets[0], "poet").unwrap();
    (outgoing.carry, outgoing.disguise)
}

#[test]
fn failures_of_a_translated_stream_say_whose_fault_they_are() {
    for (kind, status, callers) in [("invalid_request_error", 400, true), ("server_error", 500, false)] {
        let (carry, disguise) = adapted(false);
        let (mut life, mut carrier) = (life(), Carrier::new(&carry, &disguise, "resp_1", 1).unwrap());
        let error = json!({"error": {"message": "m-secret said no", "type": kind, "code": status}});
        let told = carrier.feed(&mut life, format!("data: {error}\n\n").as_bytes(), 2);
        assert!(told.terminal && !told.content && !told.text.contains("m-secret"), "{told:?}");
        assert_eq!(carrier.ended(&life).unwrap().0, Outcome::Failed);
        assert_eq!(carrier.is_callers_fault(&life), callers, "{kind}");
        assert_eq!(carrier.fail(&mut life, &Code::UpstreamTimeout.into()), "");
    }
}

#[test]
fn whole_answers_are_read_in_every_pair_of_protocols() {
    let chat_answer = json!({"id": "c", "model": "m-secret", "choices": [{"index": 0, "finish_reason": "length",
        "message": {"role": "assistant", "content": "Hello"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    let native = json!({"id": "resp_9", "object": "response", "created_at": 1, "model": "m-secret", "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"}, "instructions": "Hidden.",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
        "usage": {"input_tokens": 3, "output_tokens": 2}});
    for (carry, body) in [(adapted(false).0, &chat_answer), (adapted(true).0, &chat_answer), (CHAT, &native)]
    {
        let answer = whole(&carry, &disguise(), body.to_string().as_bytes(), ("resp_1", 1, 2)).unwrap();
        let text = answer.body.unwrap();
        assert_eq!(answer.outcome, Outcome::Incomplete, "{text}");
        assert_eq!(answer.usage.map(|usage| usage.output_tokens), Some(2));
        assert!(text.contains("Hello") && text.contains("poet") && !text.contains("m-secret"), "{text}");
        assert!(whole(&carry, &disguise(), b"<html>", ("resp_1", 1, 2)).is_err());
    }
    let failed = json!({"id": "resp_9", "status": "failed", "model": "m-secret", "error": {"code": "server_error", "message": "m-secret is down"}});
    let answer = whole(&CHAT, &disguise(), failed.to_string().as_bytes(), ("resp_1", 1, 2)).unwrap();
    let problem = answer.body.unwrap_err();
    assert_eq!((problem.code, problem.message.as_str()), (Code::UpstreamError, "poet is down"));
}
