//! A chat provider's stream told to both audiences, in any pieces, and the ways in which it can end.

use super::*;
use crate::request::Request;
use serde_json::json;

const STREAM: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n",
    "data: [DONE]\n\n",
);

fn parties(audience: Audience) -> Parties {
    let request = json!({"model": "m", "input": "x"});
    let request = Request::read(request.as_object().unwrap()).unwrap();
    let identity = Identity { id: "resp_1".into(), created_at_s: 1, model: "poet".into() };
    Parties { protocol: Protocol::Chat, identity, echo: Echo::of(&request), audience }
}

fn pipeline(audience: Audience) -> Pipeline {
    Pipeline::new(&parties(audience), Box::new(|message| message.replace("secret", "…")))
}

const CHAT: Audience = Audience::Chat { include_usage: true };

#[test]
fn both_audiences_read_the_same_whatever_the_pieces() {
    for audience in [Audience::Responses, CHAT] {
        let whole = pipeline(audience).feed(STREAM.as_bytes(), 9);
        assert!(whole.ends_with(DONE) && whole.matches(DONE).count() == 1, "{whole}");
        let mut pieces = String::new();
        let mut pipeline = pipeline(audience);
        for byte in STREAM.as_bytes() {
            pieces += &pipeline.feed(&[*byte], 9);
        }
        assert_eq!(pieces, whole);
        assert_eq!(*pipeline.status(), Status::Completed { at_s: 9 });
        assert_eq!(pipeline.usage().map(|usage| usage.output_tokens), Some(2));
        assert_eq!(pipeline.finish(10) + &pipeline.abort(Failure::new("a", "b", "c")), "");
    }
}

#[test]
fn an_end_counts_if_the_model_had_said_so() {
    let finished = STREAM.find("data: {\"choices\":[],").unwrap();
    for (cut, ends) in [(finished, true), (finished - 5, false), (20, false)] {
        let mut pipeline = pipeline(Audience::Responses);
        pipeline.feed(&STREAM.as_bytes()[..cut], 9);
        let last = pipeline.finish(9);
        assert_eq!(last.contains("response.completed"), ends, "{cut}: {last}");
        let failed = pipeline.abort(Failure::new("server_error", "upstream_incomplete", "x"));
        assert_eq!(failed.contains("response.failed") && failed.ends_with(DONE), !ends, "{cut}");
    }
}

#[test]
fn nothing_that_announces_only_is_content() {
    let mut pipeline = pipeline(Audience::Responses);
    pipeline.feed(
        b"data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        9,
    );
    assert!(!pipeline.content_began());
    pipeline.feed(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n", 9);
    assert!(pipeline.content_began());
}

#[test]
fn what_cannot_be_read_and_what_a_provider_says_of_itself_end_the_stream() {
    for audience in [Audience::Responses, CHAT] {
        let mut broken = pipeline(audience);
        assert!(broken.feed(b"data: {nonsense\n\n", 9).ends_with(DONE));
        assert!(matches!(broken.status(), Status::Failed(failure) if failure.code == "upstream_incomplete"));
        let mut late = pipeline(audience);
        let finished = STREAM.find("data: {\"choices\":[],").unwrap();
        late.feed(&STREAM.as_bytes()[..finished], 9);
        assert!(late.feed(b"data: {nonsense\n\n", 9).ends_with(DONE));
        assert_eq!(*late.status(), Status::Completed { at_s: 9 });
        let mut failed = pipeline(audience);
        let told = failed.feed(b"data: {\"error\":{\"message\":\"secret is down\",\"code\":500}}\n\n", 9);
        assert!(told.contains("… is down") && !told.contains("secret"), "{told}");
    }
}

#[test]
fn a_whole_answer_is_a_response_or_a_completion() {
    let body = json!({"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}});
    let conceal: Concealer = Box::new(str::to_owned);
    let whole = parties(CHAT).whole(body.to_string().as_bytes(), &conceal, 9).unwrap();
    assert_eq!(whole.response["output"][0]["content"][0]["text"], "Hello");
    let completion = tell_whole(CHAT, whole.response, "poet").unwrap();
    assert_eq!(completion["choices"][0]["message"]["content"], "Hello");
    assert!(parties(CHAT).whole(b"<html>", &conceal, 9).is_err());
}
