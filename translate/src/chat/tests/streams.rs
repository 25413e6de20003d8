//! What is understood of streams, in the forms of many servers.
//!
//! Invariant: whatever a server says, and in whatever form, an answer ends exactly once.

use crate::{
    call::Malformed,
    chat::Reader,
    fact::{ErrorKind, Fact},
    sse,
};
use serde_json::json;

macro_rules! streams {
    ($($name:ident)*) => {
        &[$((stringify!($name), include_str!(concat!("streams/", stringify!($name), ".sse"))),)*]
    };
}

const STREAMS: &[(&str, &str)] = streams!(
    content_filter deepseek_reasoning_and_call done_without_a_reason done_without_an_answer error_mid_stream
    function_call groq_usage ids_late ids_never length mistral_parts no_index null_deltas ollama_arguments_as_object
    one_index_for_all_calls openai_citations openai_logprobs openai_parallel_calls openai_refusal openai_text
    openrouter_error_mid_stream openrouter_thoughts_and_their_details says_more_after_the_end vllm_abort
    vllm_error_mid_stream vllm_reasoning vllm_says_thoughts_twice xai_thoughts_beside_output
);

fn event(data: impl ToString) -> sse::Event {
    sse::Event { name: "message".into(), data: data.to_string() }
}

fn facts(stream: &str) -> Vec<Fact> {
    let mut reader = Reader::default();
    let events = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(event);
    events.flat_map(|event| reader.event(&event).expect("readable")).collect()
}

#[test]
fn every_servers_stream_is_understood() {
    for (name, stream) in STREAMS {
        insta::assert_debug_snapshot!(*name, facts(stream));
    }
}

#[test]
fn every_stream_ends_exactly_once() {
    for (name, stream) in STREAMS {
        let facts = facts(stream);
        let ends = |fact: &&Fact| matches!(fact, Fact::Finished(_) | Fact::Failed(_));
        assert_eq!(facts.iter().filter(ends).count(), 1, "{name}");
        let after: Vec<&Fact> = facts.iter().skip_while(|fact| !ends(fact)).skip(1).collect();
        assert!(after.iter().all(|fact| matches!(fact, Fact::Usage(_))), "{name}: {after:?}");
    }
}

#[test]
fn what_is_no_answer_is_malformed() {
    let call = |call| json!({"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    let cases = [
        ("no JSON", "{\"choices\": [".to_owned()),
        (
            "a call without a name",
            call(json!({"index": 0, "id": "call_a", "function": {"arguments": "{}"}})).to_string(),
        ),
        ("a call of another kind", call(json!({"index": 0, "id": "call_a", "type": "custom"})).to_string()),
        ("a picture", json!({"choices": [{"delta": {"content": [{"type": "image_url"}]}}]}).to_string()),
        ("a number", json!({"choices": [{"delta": {"content": 7}}]}).to_string()),
    ];
    for (name, data) in cases {
        let read = Reader::default().event(&event(data));
        assert!(matches!(read, Err(Malformed(_))), "{name}: {read:?}");
    }
}

#[test]
fn an_event_of_the_name_error_is_one_whatever_its_form() {
    let error = json!({"message": "Slow down", "type": "rate_limit_exceeded"});
    for data in [error.clone(), json!({"error": error})] {
        let event = sse::Event { name: "error".into(), data: data.to_string() };
        let facts = Reader::default().event(&event).expect("readable");
        let [Fact::Failed(error)] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::TooManyRequests, "Slow down"));
    }
}

#[test]
fn what_says_nothing_is_passed_over() {
    let nothing = [
        "".to_owned(),
        " ".to_owned(),
        json!({"type": "ping"}).to_string(),
        json!({"choices": []}).to_string(),
    ];
    for data in nothing {
        assert_eq!(Reader::default().event(&event(&data)), Ok(Vec::new()), "{data}");
    }
}

#[test]
fn what_waits_is_bounded() {
    let piece = "a".repeat(1024 * 1024);
    let delta = json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": piece}}]});
    let chunk = event(json!({"choices": [{"delta": delta}]}));
    let mut reader = Reader::default();
    let pieces_read = (0..20).take_while(|_| reader.event(&chunk).is_ok()).count();
    assert_eq!(pieces_read, 7, "8 MB, but for what a call costs besides");

    let logprobs = json!({"content": [{"token": "", "logprob": -0.5}]});
    let chunk = event(json!({"choices": [{"delta": {"content": ""}, "logprobs": logprobs}]}));
    let mut reader = Reader::default();
    let facts: Vec<Fact> = (0..200).flat_map(|_| reader.event(&chunk).expect("readable")).collect();
    assert_eq!(facts.len(), 3, "said in rows of 65");
}
