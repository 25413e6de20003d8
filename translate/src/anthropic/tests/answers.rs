//! Answers, streamed and in one piece, as facts.
//!
//! Invariant: the events are those of the streaming page's examples, with what real streams add.

use super::{super::whole, *};
use crate::fact::{Finish, Usage};

fn text_block(index: u64, pieces: &[&str]) -> Vec<Value> {
    let mut events = vec![start(index, json!({"type": "text", "text": ""}))];
    events.extend(pieces.iter().map(|text| delta(index, json!({"type": "text_delta", "text": text}))));
    events.push(stop(index));
    events
}

fn said(text: &str) -> Fact {
    Fact::Text { text: text.into(), logprobs: vec![] }
}

#[test]
fn text_and_usage() {
    insta::assert_debug_snapshot!(read(&answer(text_block(0, &["Hello", " there"]), "end_turn")).unwrap());
}

#[test]
fn thoughts_a_text_and_parallel_calls() {
    let mut blocks = vec![
        start(0, json!({"type": "thinking", "thinking": "", "signature": "", "of_the_future": 1})),
        delta(0, json!({"type": "thinking_delta", "thinking": "Rome, "})),
        delta(0, json!({"type": "thinking_delta", "thinking": "then Oslo."})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        start(1, json!({"type": "redacted_thinking", "data": "ZW5j"})),
        stop(1),
    ];
    blocks.extend(text_block(2, &["I look."]));
    blocks.extend([
        start(3, json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}})),
        delta(3, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(3, json!({"type": "input_json_delta", "partial_json": "{\"city\": \"Ro"})),
        json!({"type": "ping"}),
        delta(3, json!({"type": "input_json_delta", "partial_json": "me\"}"})),
        stop(3),
        start(4, json!({"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}})),
        delta(4, json!({"type": "input_json_delta", "partial_json": ""})),
        stop(4),
    ]);
    insta::assert_debug_snapshot!(read(&answer(blocks, "tool_use")).unwrap());
}

#[test]
fn every_reason_to_stop_has_its_end() {
    for (reason, finish) in [
        ("end_turn", Finish::Done),
        ("tool_use", Finish::Done),
        ("stop_sequence", Finish::Done),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("pause_turn", Finish::Length),
        ("refusal", Finish::Filter),
        ("of_the_future", Finish::Done),
    ] {
        let facts = read(&answer(text_block(0, &["Hello"]), reason)).unwrap();
        assert_eq!(facts.last(), Some(&Fact::Finished(finish)), "{reason}");
        let body = json!({"content": [], "stop_reason": reason, "usage": {}}).to_string();
        assert_eq!(whole(body.as_bytes()).unwrap().last(), Some(&Fact::Finished(finish)), "{reason}");
    }
}

#[test]
fn a_refusal_says_why_and_ends_by_a_filter() {
    let details = json!({"type": "refusal", "category": "cyber", "explanation": "Not this."});
    let ends = json!({
        "type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}, "usage": {"output_tokens": 3}
    });
    let facts = read(&[message_start(), ends]).unwrap();
    assert_eq!(facts[2..], [Fact::Refusal("Not this.".into()), Fact::Finished(Finish::Filter)]);
}

#[test]
fn counts_that_a_later_report_leaves_out_stay() {
    let facts = read(&answer(vec![], "end_turn")).unwrap();
    let usage = Usage { input_tokens: 1_112, cached_tokens: 1_000, output_tokens: 40, reasoning_tokens: 25 };
    assert_eq!(facts[1], Fact::Usage(usage));
    let huge =
        json!({"content": [], "usage": {"input_tokens": u64::MAX, "cache_read_input_tokens": u64::MAX}});
    assert!(matches!(
        whole(huge.to_string().as_bytes()).unwrap()[0],
        Fact::Usage(Usage { input_tokens: u64::MAX, .. })
    ));
}

#[test]
fn an_answer_in_one_piece_is_the_same_answer_with_the_arguments_byte_for_byte() {
    let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5","content":[
        {"type":"thinking","thinking":"Rome.","signature":"c2ln"},
        {"type":"redacted_thinking","data":"ZW5j"},
        {"type":"text","text":"I look."},
        {"type":"tool_use","id":"toolu_1","name":"weather","input":{"z": 1.0, "a":[1e2, "\u00e9"]}},
        {"type":"tool_use","id":"toolu_2","name":"now","input":{}}
      ],"stop_reason":"tool_use","stop_sequence":null,
      "usage":{"input_tokens":12,"cache_read_input_tokens":1000,"output_tokens":40}}"#;
    insta::assert_debug_snapshot!(whole(body).unwrap());
}

#[test]
fn citations_of_pages_are_annotations_of_their_text_and_others_are_left_out() {
    let page = json!({"type": "web_search_result_location", "url": "https://a.example", "title": "A", "cited_text": "x"});
    let place =
        json!({"type": "char_location", "document_index": 0, "cited_text": "x", "start_char_index": 0});
    let mut blocks = text_block(0, &["Älter: "]);
    blocks.push(start(1, json!({"type": "text", "text": "", "citations": []})));
    blocks.extend(
        [page, place].map(|citation| delta(1, json!({"type": "citations_delta", "citation": citation}))),
    );
    blocks.extend([delta(1, json!({"type": "text_delta", "text": "grün"})), stop(1)]);
    let facts = read(&answer(blocks, "end_turn")).unwrap();
    let annotation = json!({"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 7, "end_index": 11});
    assert_eq!(facts[1..4], [said("Älter: "), said("grün"), Fact::Annotation(annotation)]);
}

#[test]
fn events_blocks_and_deltas_that_are_not_known_are_passed_over() {
    let mut blocks = vec![
        json!({"type": "of_the_future", "index": {}}),
        start(0, json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}})),
        delta(0, json!({"type": "input_json_delta", "partial_json": "{}"})),
        stop(0),
        start(1, json!({"type": "text", "text": "Be"})),
        delta(1, json!({"type": "of_the_future"})),
        delta(1, json!({"type": "text_delta", "text": "gun"})),
        stop(1),
        stop(9),
    ];
    let facts = read(&answer(std::mem::take(&mut blocks), "end_turn")).unwrap();
    assert_eq!(facts[1..3], [said("Be"), said("gun")]);
    let unknown = sse::Event { name: "of_the_future".into(), data: "not JSON".into() };
    assert_eq!(Reader::default().event(&unknown), Ok(vec![]));
}

#[test]
fn an_event_without_a_name_is_what_its_type_says() {
    let mut reader = Reader::default();
    let data = start(0, json!({"type": "text", "text": "Hi"})).to_string();
    let facts = reader.event(&sse::Event { name: sse::DEFAULT_NAME.into(), data }).unwrap();
    assert_eq!(facts, [said("Hi")]);
}

#[test]
fn usage_may_come_alone_and_after_the_reason_to_stop() {
    let late = json!({"type": "message_delta", "usage": {"output_tokens": 41}});
    let facts = read(&[message_start(), message_delta("end_turn"), late, message_stop()]).unwrap();
    assert_eq!(facts[2], Fact::Finished(Finish::Done));
    assert!(matches!(facts[3], Fact::Usage(Usage { input_tokens: 1_112, output_tokens: 41, .. })));
}

#[test]
fn after_the_end_there_is_nothing() {
    let mut events = answer(text_block(0, &["Hi"]), "end_turn");
    let facts = read(&events).unwrap();
    events.extend(answer(text_block(0, &["again"]), "end_turn"));
    assert_eq!(read(&events).unwrap(), facts);
}

#[test]
fn thoughts_without_a_signature_are_told_but_not_sealed() {
    let blocks = vec![start(0, json!({"type": "thinking", "thinking": "Hm."})), stop(0)];
    let facts = read(&answer(blocks, "end_turn")).unwrap();
    assert_eq!(facts[1..3], [Fact::ReasoningSummary("Hm.".into()), Fact::ItemEnd]);
}

#[test]
fn thoughts_that_are_not_shown_are_sealed_all_the_same() {
    let block = json!({"type": "thinking", "thinking": "", "signature": "c2ln"});
    let facts = read(&answer(vec![start(0, block.clone()), stop(0)], "end_turn")).unwrap();
    assert_eq!(facts[1..3], [Fact::ReasoningSealed(block), Fact::ItemEnd]);
}

#[test]
fn what_is_not_the_apis_is_malformed() {
    for (name, data) in [
        ("message_start", "{"),
        ("message", "[DONE]"),
        ("content_block_start", r#"{"index":0}"#),
        ("content_block_start", r#"{"index":0,"content_block":{"type":"tool_use","name":"x"}}"#),
        ("content_block_delta", r#"{"index":0,"delta":{"type":"text_delta","text":"x"}}"#),
        ("content_block_delta", r#"{"delta":{}}"#),
        ("content_block_stop", r#"{"index":-1}"#),
    ] {
        let event = sse::Event { name: name.into(), data: data.into() };
        assert!(Reader::default().event(&event).is_err(), "{name} {data}");
    }
    for body in ["", "{}", "[]", r#"{"content":{}}"#, r#"{"content":[{"type":"tool_use"}]}"#] {
        assert!(whole(body.as_bytes()).is_err(), "{body}");
    }
}
