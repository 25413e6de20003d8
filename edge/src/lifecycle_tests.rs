//! What callers see of a stream's lifecycle, and how it ends when the provider does not end it.

use super::*;
use alphagate_contract::problem::Code;
use proptest::prelude::*;

fn lifecycle() -> Lifecycle {
    let disguise = Disguise {
        model: "poet".into(),
        provider_model: "gpt-x".into(),
        instructions: Value::Null,
        hidden_instructions: Some("Secret words.".into()),
        defaults: vec![],
    };
    Lifecycle::new(disguise, "resp_0".into(), 1_790_000_000)
}

fn events(text: &str) -> Vec<Value> {
    text.split("\n\n")
        .filter_map(sse::data)
        .filter(|data| data != "[DONE]")
        .map(|data| serde_json::from_str(&data).unwrap())
        .collect()
}

const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_9\",\"model\":\"gpt-x\",\"instructions\":\"Secret words.\",\"status\":\"in_progress\"}}\n\n";

#[test]
fn lifecycle_events_are_rewritten_and_others_are_not() {
    let mut lifecycle = lifecycle();
    let shown = lifecycle.show(CREATED.as_bytes());
    let text = shown.text.unwrap();
    assert!(text.starts_with("event: response.created\ndata: "));
    assert_eq!(events(&text)[0]["response"]["model"], "poet");
    assert_eq!(events(&text)[0]["response"]["instructions"], Value::Null);
    for other in [
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"\\\"response\\\":{gpt-x\"}\n\n",
        ": comment\n\n",
        "data: [DONE]\n\n",
        "\n",
    ] {
        let shown = lifecycle.show(other.as_bytes());
        assert_eq!(Shown { kind: None, ..shown }, Shown::as_it_came(true), "{other}");
    }
    assert_eq!(lifecycle.show(b"data: {\"type\":\"resp\n\n"), Shown::as_it_came(false));
}

#[test]
fn the_terminal_event_tells_usage() {
    let mut lifecycle = lifecycle();
    let event = "data: {\"type\":\"response.completed\",\"response\":{\"model\":\"gpt-x\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\r\n\r\n";
    assert!(lifecycle.show(event.as_bytes()).terminal);
    let (outcome, usage) = lifecycle.ended().unwrap();
    assert_eq!(outcome, Outcome::Completed);
    assert_eq!(usage.map(|usage| (usage.input_tokens, usage.output_tokens)), Some((3, 4)));
}

#[test]
fn a_stream_that_is_given_up_ends_whole() {
    let problem = Problem::new(Code::UpstreamIncomplete);
    let early = lifecycle().fail(&problem, b"");
    let kinds: Vec<_> = events(&early).iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["response.created", "error", "response.failed"]);
    assert!(early.ends_with("data: [DONE]\n\n"));

    let mut lifecycle = lifecycle();
    lifecycle.show(CREATED.as_bytes());
    let passed = b"data: {\"type\":\"x\",\"delta\":\"\\\"sequence_number\\\":99\",\"sequence_number\":6}\n\n";
    let late = events(&lifecycle.fail(&problem, passed));
    assert_eq!(late[0]["type"], "error");
    assert_eq!(late[0]["sequence_number"], 7);
    assert_eq!(late[0]["error"]["code"], "upstream_incomplete");
    assert_eq!(late[1]["sequence_number"], 8);
    assert_eq!(late[1]["response"]["id"], "resp_9");
    assert_eq!(late[1]["response"]["status"], "failed");
    assert_eq!(late[1]["response"]["model"], "poet");
}

#[test]
fn a_providers_error_is_told_in_both_forms_and_once() {
    for given in [
        "{\"type\":\"error\",\"code\":\"overloaded\",\"message\":\"gpt-x is full\",\"param\":null}",
        "{\"type\":\"error\",\"error\":{\"type\":\"server_error\",\"code\":\"overloaded\",\"message\":\"gpt-x is full\"}}",
    ] {
        let mut lifecycle = lifecycle();
        let shown = lifecycle.show(format!("event: error\ndata: {given}\n\n").as_bytes()).text.unwrap();
        let event = &events(&shown)[0];
        assert_eq!(event["message"], "poet is full");
        assert_eq!(event["error"]["message"], "poet is full");
        assert_eq!(event["error"]["code"], "overloaded");
        let rest = events(&lifecycle.fail(&Problem::new(Code::UpstreamIncomplete), b""));
        assert!(rest.iter().all(|event| event["type"] != "error"));
    }
}

proptest! {
    #[test]
    fn no_event_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut lifecycle = lifecycle();
        lifecycle.show(&bytes);
        lifecycle.fail(&Problem::new(Code::UpstreamIncomplete), &bytes);
    }
}

#[test]
fn a_completed_response_that_violates_the_schema_fails_in_its_place() {
    let schema = serde_json::json!({"type": "object", "required": ["a"]});
    let schema = Rc::new(Schema::compile(&schema).unwrap());
    for (text, holds) in [("{\\\"a\\\":1}", true), ("{}", false)] {
        let mut lifecycle = lifecycle().checked(Some(schema.clone()));
        lifecycle.show(CREATED.as_bytes());
        let completed = format!(
            "event: response.completed\ndata: {{\"type\":\"response.completed\",\"sequence_number\":7,\"response\":{{\"id\":\"resp_9\",\"model\":\"gpt-x\",\"status\":\"completed\",\"output\":[{{\"type\":\"message\",\"content\":[{{\"type\":\"output_text\",\"text\":\"{text}\"}}]}}],\"usage\":{{\"input_tokens\":3,\"output_tokens\":5}}}}}}\n\n"
        );
        let shown = lifecycle.show(completed.as_bytes());
        assert!(shown.terminal && shown.whole);
        let (outcome, usage) = lifecycle.ended().unwrap();
        assert_eq!(usage.unwrap().output_tokens, 5);
        assert_eq!(lifecycle.is_no_illness(), !holds);
        let told = events(&shown.text.unwrap());
        if holds {
            assert_eq!((outcome, told.len()), (Outcome::Completed, 1));
            continue;
        }
        assert_eq!(outcome, Outcome::Failed);
        let [error, failed] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(
            (&error["code"], &error["sequence_number"]),
            (&json!("output_schema_mismatch"), &json!(7))
        );
        assert_eq!((&failed["type"], &failed["sequence_number"]), (&json!("response.failed"), &json!(8)));
        assert_eq!(failed["response"]["model"], "poet");
    }
}
