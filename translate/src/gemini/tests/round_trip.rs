//! From the model's parts through facts and items back to the model's parts.
//!
//! Invariant: what a model said is what it is told that it said, part by part, signature by signature.

use super::{SECOND, asked, chunk, event, last, told};
use crate::fact::Fact;
use crate::gemini::{PROVIDER, Reader, error, retry_delay_ms, whole};
use crate::lifecycle::Lifecycle;
use crate::response::{Echo, Identity};
use crate::sse;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The items of a response that is told these facts.
fn output(facts: Vec<Fact>) -> Vec<Value> {
    let identity = Identity { id: "resp_1".to_owned(), created_at_s: 0, model: "poet".to_owned() };
    let echo = Echo::of(&super::request(&json!({"model": "poet", "input": "?"})));
    let mut lifecycle = Lifecycle::new(identity, echo, PROVIDER);
    facts.into_iter().for_each(|fact| _ = lifecycle.fact(fact));
    lifecycle.end(1);
    let response = lifecycle.response();
    assert_eq!(response["status"], json!("completed"));
    response["output"].as_array().expect("items").clone()
}

/// What the model is told that it said, when the caller gives back what it was given.
fn replayed(output: &[Value]) -> Value {
    let ids = output.iter().filter_map(|item| item.get("call_id"));
    let outputs = ids.map(|id| json!({"type": "function_call_output", "call_id": id, "output": "ok"}));
    let input: Vec<Value> = [json!({"role": "user", "content": "?"})]
        .into_iter()
        .chain(output.iter().cloned())
        .chain(outputs)
        .collect();
    let body = asked(&json!({"model": SECOND, "input": input})).expect("a call").body;
    let turn = body["contents"].get(1);
    turn.map_or_else(|| json!([]), |turn| turn["parts"].clone())
}

/// What the model should be told: its parts without unsigned thoughts, unsigned pieces of one text put together.
/// `output` knows the ids of calls that had none.
fn expected(parts: &[Value], output: &[Value]) -> Value {
    let mut kept: Vec<Value> = Vec::new();
    let mut ids = output.iter().filter_map(|item| item.get("call_id"));
    let mut goes_on = false;
    for part in parts {
        let is_signed = part.get("thoughtSignature").is_some();
        let mut part = part.clone();
        if part.get("functionCall").is_some() {
            let id = ids.next().expect("an id").clone();
            part["functionCall"].as_object_mut().expect("a call").entry("id").or_insert(id);
            goes_on = false;
        } else if part["text"] == json!("") && !is_signed {
            continue;
        } else if part.get("thought").is_some() {
            goes_on = false;
            if !is_signed {
                continue;
            }
        } else if let Some(before) = kept.last_mut().filter(|_| goes_on && !is_signed) {
            let text = format!(
                "{}{}",
                before["text"].as_str().expect("a text"),
                part["text"].as_str().expect("a text")
            );
            before["text"] = text.into();
            continue;
        } else {
            goes_on = !is_signed;
        }
        kept.push(part);
    }
    kept.into()
}

fn signed(part: Value) -> impl Strategy<Value = Value> {
    prop::option::of("[a-zA-Z0-9+/]{4,12}").prop_map(move |signature| {
        let mut part = part.clone();
        if let Some(signature) = signature {
            part["thoughtSignature"] = signature.into();
        }
        part
    })
}

fn arguments() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::Null)
    ];
    let value =
        value.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from));
    prop::collection::btree_map(any::<String>(), value, 0..4)
        .prop_map(|members| members.into_iter().collect())
}

fn part() -> impl Strategy<Value = Value> {
    let text = any::<String>().prop_map(|text| json!({"text": text}));
    let thought = any::<String>().prop_map(|text| json!({"text": text, "thought": true}));
    let call = arguments().prop_map(|args| json!({"functionCall": {"name": "f", "args": args}}));
    prop_oneof![text, thought, call].prop_flat_map(signed)
}

/// An answer's parts; some calls have ids.
fn parts() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec((part(), any::<bool>()), 0..8).prop_map(|parts| {
        let numbered = parts.into_iter().enumerate().map(|(index, (mut part, has_id))| {
            if has_id && part.get("functionCall").is_some() {
                part["functionCall"]["id"] = format!("fc-{index}").into();
            }
            part
        });
        numbered.collect()
    })
}

proptest! {
    #[test]
    fn a_model_is_told_what_it_said(parts in parts()) {
        let output = output(told(&[last(&json!(parts))]));
        prop_assert_eq!(replayed(&output), expected(&parts, &output));
    }

    #[test]
    fn chunks_may_be_cut_anywhere_between_parts(parts in parts(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(parts.len() + 1)).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in cuts {
            chunks.push(chunk(&json!(parts[from..cut])));
            from = cut;
        }
        chunks.push(last(&json!(parts[from..])));
        let body = last(&json!(parts)).to_string();
        prop_assert_eq!(Ok(told(&chunks)), whole(body.as_bytes()));
    }

    #[test]
    fn a_stream_may_be_cut_anywhere_between_bytes(parts in parts(), size in 1_usize..64, end in "\r\n\r\n|\n\n|\r\r") {
        let chunks = [chunk(&json!(parts)), last(&json!([{"text": "é", "thoughtSignature": "c2ln"}]))];
        let stream: String = chunks.iter().map(|chunk| format!("data: {chunk}{end}")).collect();
        let mut parser = sse::Parser::default();
        let mut events = Vec::new();
        for bytes in stream.as_bytes().chunks(size) {
            parser.feed(bytes, &mut events).unwrap();
        }
        events.extend(parser.finish().unwrap());
        let mut reader = Reader::default();
        let facts: Vec<Fact> = events.iter().flat_map(|event| reader.event(event).unwrap()).collect();
        prop_assert_eq!(facts, told(&chunks));
    }

    #[test]
    fn a_text_may_be_cut_anywhere(text in any::<String>(), cut in any::<prop::sample::Index>()) {
        let at = cut.index(text.chars().count() + 1);
        let (start, end): (String, String) = (text.chars().take(at).collect(), text.chars().skip(at).collect());
        let one = told(&[last(&json!([{"text": text}]))]);
        let two = told(&[chunk(&json!([{"text": start}])), last(&json!([{"text": end}]))]);
        prop_assert_eq!(output(two), output(one));
    }

    #[test]
    fn arguments_come_back_byte_for_byte(args in arguments()) {
        let text = Value::from(args).to_string();
        let body = format!(r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"f","args":{text}}}}}]}}}}]}}"#);
        let facts = Reader::default().event(&sse::Event { name: "message".to_owned(), data: body }).unwrap();
        prop_assert_eq!(&facts[1], &Fact::Arguments { slot: 0, delta: text });
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), status in any::<u16>()) {
        _ = whole(&bytes);
        _ = error(status, &bytes);
        _ = retry_delay_ms(&bytes);
    }

    #[test]
    fn any_change_of_a_chunk_is_read_or_refused(parts in parts(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let text = last(&json!(parts)).to_string();
        let at = at.index(text.chars().count());
        let data: String = text.chars().enumerate().map(|(index, old)| if index == at { with } else { old }).collect();
        let mut reader = Reader::default();
        _ = reader.event(&sse::Event { name: "message".to_owned(), data });
        _ = reader.event(&event(&last(&json!(parts))));
    }
}
