//! Thought signatures that come back, and those that cannot.
//!
//! Invariant: no signature ends up on a part that it was not made for.

use super::{NEWER, SECOND, asked};
use crate::gemini::PROVIDER;
use crate::replay;
use serde_json::{Value, json};

fn thought(marks: &Value) -> Value {
    let sealed = replay::seal(PROVIDER, marks.as_array().expect("marks"));
    json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed})
}

fn called(id: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"})
}

fn output(id: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": "ok"})
}

fn said(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

/// Role and signatures of each turn, an unsigned part as a dash.
fn turns(model: &str, input: &[Value]) -> Vec<String> {
    let body = asked(&json!({"model": model, "input": input})).expect("a call").body;
    let signature = |part: &Value| part["thoughtSignature"].as_str().unwrap_or("-").to_owned();
    let turn = |turn: &Value| {
        let parts: Vec<String> = turn["parts"].as_array().expect("parts").iter().map(signature).collect();
        format!("{}: {}", turn["role"].as_str().expect("a role"), parts.join(" "))
    };
    body["contents"].as_array().expect("contents").iter().map(turn).collect()
}

#[test]
fn a_conversation_with_thoughts_goes_on() {
    let input = json!([
        said("user", "Weather?"),
        thought(&json!([{"on": "call", "id": "a", "signature": "c2ln"}])),
        called("a"),
        called("b"),
        output("a"),
        output("b"),
        said("assistant", "Rain."),
        thought(&json!([{"on": "text", "start": 5, "end": 5, "signature": "dHh0"}])),
        said("user", "And tomorrow?"),
    ]);
    let body = asked(&json!({"input": input})).expect("a call").body;
    insta::assert_json_snapshot!("replay", body);
}

#[test]
fn a_call_without_an_id_of_its_own_takes_the_signature_before_it() {
    let mark = thought(&json!([{"on": "call", "signature": "c2ln"}]));
    let input = [said("user", "?"), mark.clone(), called("ours"), called("b"), output("ours"), output("b")];
    assert_eq!(turns(SECOND, &input), ["user: -", "model: c2ln -", "user: - -"]);
    let apart = [said("user", "?"), mark, said("user", "!"), called("ours"), output("ours")];
    assert_eq!(turns(SECOND, &apart), ["user: - -", "model: -", "user: -"]);
}

#[test]
fn a_signature_whose_part_has_changed_is_left_out() {
    let text = |start: u64, end: u64| {
        thought(&json!([{"on": "text", "start": start, "end": end, "signature": "dHh0"}]))
    };
    let cases = [
        (vec![said("assistant", "Grün"), text(0, 5)], "model: dHh0"),
        (vec![said("assistant", "Grün"), text(4, 5)], "model: - dHh0"),
        (vec![said("assistant", "Grün"), text(3, 5)], "model: -"),
        (vec![said("assistant", "Grün"), text(5, 4)], "model: -"),
        (vec![said("assistant", "Rot"), text(5, 5)], "model: -"),
        (vec![text(0, 3), said("assistant", "Rot")], "model: -"),
        (vec![said("assistant", "Rot"), thought(&json!([{"on": "elsewhere"}, 7, null]))], "model: -"),
    ];
    for (input, expected) in cases {
        let input = [vec![said("user", "?")], input].concat();
        assert_eq!(turns(SECOND, &input)[1..], [expected], "{input:?}");
    }
}

#[test]
fn thoughts_of_another_provider_are_left_out() {
    let marks = [json!({"on": "call", "id": "a", "signature": "c2ln"})];
    for sealed in [replay::seal("anthropic", &marks), "gAAAA".to_owned(), String::new()] {
        let foreign = json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": sealed});
        let input = [said("user", "?"), foreign, called("a"), output("a")];
        assert_eq!(turns(SECOND, &input), ["user: -", "model: -", "user: -"]);
    }
}

#[test]
fn unsigned_calls_of_the_present_turn_say_that_they_are() {
    let input = [
        said("user", "?"),
        called("old"),
        output("old"),
        said("user", "!"),
        called("a"),
        called("b"),
        output("a"),
        output("b"),
        said("assistant", "So:"),
        called("c"),
        output("c"),
    ];
    let skip = "skip_thought_signature_validator";
    let newer = [
        "user: -".to_owned(),
        "model: -".to_owned(),
        "user: - -".to_owned(),
        format!("model: {skip} -"),
        "user: - -".to_owned(),
        format!("model: - {skip}"),
        "user: -".to_owned(),
    ];
    assert_eq!(turns(NEWER, &input), newer);
    assert!(turns(SECOND, &input).iter().all(|turn| !turn.contains(skip)));
}
