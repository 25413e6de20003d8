//! Chat → Responses → chat, there and back, through the adapter and the lifecycle.
//!
//! Invariant: ids, order and arguments are the same at both ends, byte for byte.

use super::object;
use crate::{
    chat::{self, Reader},
    completions::{Writer, ask, completion},
    lifecycle::Lifecycle,
    request::Request,
    response::{Echo, Identity},
    sse,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Calls with their ids, names and arguments.
fn calls(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Value>> {
    let call = ("[a-zA-Z0-9_-]{1,12}", "[a-z_]{1,9}", any::<String>()).prop_map(|(id, name, arguments)| {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    prop::collection::vec(call, count)
}

/// A conversation in the form in which the adapter writes it: one system message at most, texts as plain strings, and
/// what the model says in a row in one message.
fn messages() -> impl Strategy<Value = Vec<Value>> {
    let said =
        |role: &'static str| any::<String>().prop_map(move |text| json!({"role": role, "content": text}));
    let round =
        (prop::option::of(any::<String>()), calls(1..4), ".{0,9}").prop_map(|(content, calls, output)| {
            let outputs = calls
                .iter()
                .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": output}));
            let message = json!({"role": "assistant", "content": content, "tool_calls": calls});
            std::iter::once(message).chain(outputs).collect::<Vec<_>>()
        });
    let turn = (said("user"), prop::collection::vec(round, 0..3), said("assistant"))
        .prop_map(|(user, rounds, last)| [vec![user], rounds.concat(), vec![last]].concat());
    (prop::option::of(said("system")), prop::collection::vec(turn, 1..4))
        .prop_map(|(system, turns)| system.into_iter().chain(turns.concat()).collect())
}

fn request() -> Request {
    Request::read(&object(json!({"model": "m", "input": "Hi"}))).expect("a request")
}

fn lifecycle() -> Lifecycle {
    let identity = Identity { id: "resp_1".into(), created_at_s: 1_764_000_000, model: "poet".into() };
    Lifecycle::new(identity, Echo::of(&request()), "chat")
}

/// What a caller's SDK puts together from chunks.
fn put_together(lines: &[String]) -> (String, String, Vec<Value>, Value) {
    let (mut content, mut thoughts, mut calls, mut reason) =
        (String::new(), String::new(), Vec::new(), Value::Null);
    for line in lines.iter().filter(|line| line.as_str() != "[DONE]") {
        let chunk: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(chunk["id"], "chatcmpl-1", "{line}");
        let choice = &chunk["choices"][0];
        content.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        thoughts.push_str(choice["delta"]["reasoning_content"].as_str().unwrap_or_default());
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().expect("an index")).expect("small");
            if index == calls.len() {
                calls.push(json!({"id": call["id"], "type": call["type"], "function": {"name": call["function"]["name"], "arguments": ""}}));
            }
            let known = &mut calls[index]["function"]["arguments"];
            *known = format!(
                "{}{}",
                known.as_str().unwrap_or_default(),
                call["function"]["arguments"].as_str().unwrap_or_default()
            )
            .into();
        }
        if !choice["finish_reason"].is_null() {
            reason = choice["finish_reason"].clone();
        }
    }
    (content, thoughts, calls, reason)
}

/// An answer without arguments is told as an empty object: callers parse them.
fn with_arguments(calls: &[Value]) -> Vec<Value> {
    let mut calls = calls.to_vec();
    for call in &mut calls {
        if call["function"]["arguments"] == "" {
            call["function"]["arguments"] = "{}".into();
        }
    }
    calls
}

proptest! {
    #[test]
    fn a_conversation_reaches_the_provider_as_the_caller_gave_it(messages in messages()) {
        let chat = object(json!({"model": "m", "messages": messages}));
        let asked = ask(&chat).expect("asked");
        let call = chat::call(&Request::read(&asked.body).expect("read")).expect("called");
        prop_assert_eq!(&call.body["messages"], &Value::from(messages));
    }

    #[test]
    fn an_answer_reaches_the_caller_as_the_provider_gave_it(
        content in any::<String>(),
        thoughts in any::<String>(),
        given in calls(0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut reader = Reader::default();
        let mut lifecycle = lifecycle();
        let mut writer = Writer::new("poet", false);
        let mut lines = Vec::new();
        for delta in deltas(&content, &thoughts, &given, &cuts) {
            let data = json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
            for fact in reader.event(&sse::Event { name: "message".into(), data }).expect("readable") {
                lines.extend(lifecycle.fact(fact).iter().flat_map(|event| writer.event(&event.data)));
            }
        }
        let last = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string();
        for fact in reader.event(&sse::Event { name: "message".into(), data: last }).expect("readable") {
            lines.extend(lifecycle.fact(fact).iter().flat_map(|event| writer.event(&event.data)));
        }
        lines.extend(lifecycle.end(1_764_000_001).iter().flat_map(|event| writer.event(&event.data)));
        prop_assert_eq!(lines.last().map(String::as_str), Some("[DONE]"));
        let reason = json!(if given.is_empty() { "stop" } else { "tool_calls" });
        let expected = (content.clone(), thoughts.clone(), with_arguments(&given), reason);
        prop_assert_eq!(put_together(&lines), expected);

        let whole = completion(&lifecycle.response(), "poet").expect("completed");
        let message = &whole["choices"][0]["message"];
        prop_assert_eq!(message["content"].as_str().unwrap_or_default(), content);
        prop_assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), thoughts);
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(calls, with_arguments(&given));
    }

    #[test]
    fn no_events_make_it_panic(events in prop::collection::vec(hostile(), 0..8)) {
        let mut writer = Writer::new("poet", true);
        for event in &events {
            let _ = writer.event(event);
            let _ = completion(event, "poet");
            let _ = ask(event.as_object().unwrap_or(&serde_json::Map::new()));
        }
        let _ = writer.end();
    }
}

/// Thoughts, then text, then calls whose arguments are cut and interleaved.
fn deltas(content: &str, thoughts: &str, calls: &[Value], cuts: &[prop::sample::Index]) -> Vec<Value> {
    let pieces = |text: &str| -> Vec<String> {
        let letters: Vec<char> = text.chars().collect();
        let mut at: Vec<usize> =
            cuts.iter().map(|cut| cut.index(letters.len() + 1)).chain([0, letters.len()]).collect();
        at.sort_unstable();
        at.windows(2).map(|cut| letters[cut[0]..cut[1]].iter().collect()).collect()
    };
    let mut deltas: Vec<Value> =
        pieces(thoughts).into_iter().map(|text| json!({"reasoning_content": text})).collect();
    deltas.extend(pieces(content).into_iter().map(|text| json!({"content": text})));
    let heads = calls.iter().enumerate().map(|(index, call)| {
        json!({"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": {"name": call["function"]["name"], "arguments": ""}}]})
    });
    deltas.extend(heads);
    let arguments: Vec<Vec<String>> =
        calls.iter().map(|call| pieces(call["function"]["arguments"].as_str().unwrap_or_default())).collect();
    for number in 0..=cuts.len() {
        for (index, piece) in
            arguments.iter().enumerate().filter_map(|(index, pieces)| Some((index, pieces.get(number)?)))
        {
            deltas.push(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
        }
    }
    deltas
}

/// Values under the names that are read.
fn hostile() -> impl Strategy<Value = Value> {
    let words: Vec<&str> =
        "response.created response.completed response.failed error response.output_item.added \
            response.output_text.delta response.output_text.done \
            response.function_call_arguments.delta response.output_text.annotation.added \
            function_call message output_text reasoning assistant user tool function text completed"
            .split(' ')
            .collect();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(words).prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 50, 7, |inner| {
        let names: Vec<&str> =
            "type response item output output_index content_index delta text arguments id call_id name \
            created_at usage input_tokens error message messages role content tool_calls function \
            tools tool_choice response_format logprobs annotation annotations part status \
            incomplete_details reason"
                .split(' ')
                .collect();
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(names), inner, 0..7)
                .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}
