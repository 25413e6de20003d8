//! Properties: ids, order and arguments go through byte for byte, whatever the pieces.
//!
//! Invariant: hostile pieces are an error, never a panic.

use super::object;
use crate::{
    chat::{Reader, call, whole},
    fact::Fact,
    request::tests::any_request::requests,
    sse,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Calls as the facts tell them: id, name, arguments.
fn calls(facts: &[Fact]) -> Vec<(Option<String>, String, String)> {
    let mut calls = Vec::new();
    for fact in facts {
        match fact {
            Fact::Call { slot, call_id, name } => {
                assert_eq!(usize::try_from(*slot), Ok(calls.len()), "slots count up");
                calls.push((call_id.clone(), name.clone(), String::new()));
            }
            Fact::Arguments { slot, delta } => {
                calls[usize::try_from(*slot).expect("small")].2.push_str(delta)
            }
            _ => {}
        }
    }
    calls
}

fn stream(deltas: &[Value]) -> Vec<Fact> {
    let mut reader = Reader::default();
    let mut facts = Vec::new();
    for delta in deltas {
        let data = json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
        facts.extend(reader.event(&sse::Event { name: "message".into(), data }).expect("readable"));
    }
    facts.extend(
        reader.event(&sse::Event { name: "message".into(), data: "[DONE]".into() }).expect("readable"),
    );
    facts
}

/// A call: id, name, and the pieces of its arguments.
type Given = (String, String, Vec<String>);

/// Some calls, and of whose arguments the pieces come in which order.
fn interleaved() -> impl Strategy<Value = (Vec<Given>, Vec<prop::sample::Index>)> {
    let call = ("[a-zA-Z0-9_]{1,12}", "[a-z_]{1,9}", prop::collection::vec(any::<String>(), 0..5));
    (prop::collection::vec(call, 1..5), prop::collection::vec(any::<prop::sample::Index>(), 0..20))
}

/// Ids unique by their place.
fn id(at: usize, id: &str) -> String {
    format!("{id}-{at}")
}

proptest! {
    #[test]
    fn calls_are_put_together_from_interleaved_pieces((given, order) in interleaved(), late: bool) {
        let head = |at: usize, id: Option<String>, name: Option<&str>| json!({"tool_calls": [{"index": at, "id": id, "type": "function", "function": {"name": name}}]});
        let mut deltas: Vec<Value> = given.iter().enumerate().map(|(at, call)| head(at, (!late).then(|| id(at, &call.0)), Some(&call.1))).collect();
        let mut rest: Vec<std::collections::VecDeque<&String>> = given.iter().map(|call| call.2.iter().collect()).collect();
        let everything = (0..given.len()).flat_map(|at| std::iter::repeat_n(at, given[at].2.len()));
        for at in order.iter().map(|index| index.index(given.len())).chain(everything) {
            if let Some(piece) = rest[at].pop_front() {
                deltas.push(json!({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}));
            }
        }
        if late {
            deltas.extend(given.iter().enumerate().map(|(at, call)| head(at, Some(id(at, &call.0)), None)));
        }
        let expected: Vec<_> = given.iter().enumerate().map(|(at, call)| (Some(id(at, &call.0)), call.1.clone(), call.2.concat())).collect();
        prop_assert_eq!(calls(&stream(&deltas)), expected);
    }

    #[test]
    fn a_whole_answer_says_what_its_stream_says(text in ".{1,20}", thoughts in ".{1,20}", arguments in any::<String>()) {
        let call = json!({"id": "call_a", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let message = json!({"role": "assistant", "content": text, "reasoning_content": thoughts, "tool_calls": [call]});
        let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string();
        let mut streamed = message.clone();
        streamed["tool_calls"][0]["index"] = json!(0);
        prop_assert_eq!(whole(body.as_bytes()).expect("readable"), stream(&[streamed]));
    }

    #[test]
    fn any_request_is_asked_with_its_ids_and_arguments_or_refused(request in requests()) {
        let Ok(asked) = call(&request) else { return Ok(()) };
        let messages = asked.body["messages"].as_array().expect("messages").clone();
        let calls: Vec<Value> = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten().cloned().collect();
        let outputs: Vec<&Value> = messages.iter().filter(|message| message["role"] == "tool").collect();
        let body = object(Value::Object(request.write()));
        let items = body["input"].as_array().expect("items");
        let given: Vec<Value> = items.iter().filter(|item| item["type"] == "function_call").map(|item| json!({
            "id": item["call_id"], "type": "function", "function": {"name": item["name"], "arguments": item["arguments"]},
        })).collect();
        prop_assert_eq!(calls, given);
        let ids: Vec<&Value> = items.iter().filter(|item| item["type"] == "function_call_output").map(|item| &item["call_id"]).collect();
        prop_assert_eq!(outputs.iter().map(|output| &output["tool_call_id"]).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn no_bytes_make_it_panic(data in any::<String>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Reader::default().event(&sse::Event { name: "message".into(), data });
        let _ = whole(&body);
        let _ = super::super::error(500, &body);
    }

    #[test]
    fn no_json_makes_it_panic(deltas in prop::collection::vec(hostile(), 0..6)) {
        let mut reader = Reader::default();
        for delta in deltas {
            let data = json!({"choices": [{"delta": delta, "logprobs": delta, "finish_reason": delta["a"]}], "usage": delta, "error": delta["error"]}).to_string();
            let _ = reader.event(&sse::Event { name: "message".into(), data });
        }
    }
}

/// Values under the names that are read.
fn hostile() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-z]{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let names: Vec<&str> =
            "content tool_calls function function_call name arguments id index type text thinking \
            reasoning refusal annotations url_citation token top_logprobs error code message \
            prompt_tokens completion_tokens total_tokens prompt_tokens_details cached_tokens a"
                .split(' ')
                .collect();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(names), inner, 0..5)
                .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}
