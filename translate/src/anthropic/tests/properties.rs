//! What holds for every conversation and every answer.
//!
//! Invariant: ids, order and arguments survive the way to the API and back.

use super::{
    super::{PROVIDER, whole},
    *,
};
use crate::{
    lifecycle::{Lifecycle, tests::client},
    request::tests::any_request::requests,
    response::{Echo, Identity},
};
use proptest::prelude::*;

/// One content block of an answer.
#[derive(Debug, Clone)]
enum Block {
    Text(String),
    Thinking { thinking: String, signature: String },
    Redacted(String),
    Call { id: String, name: String, arguments: String },
}

fn arguments() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<i64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(|text| json!(text)),
        any::<bool>().prop_map(|truth| json!([truth, null])),
    ];
    prop::collection::vec(("[a-z\u{e9}\"]{0,6}", value), 0..4).prop_map(|members| {
        // By hand: in any order, with the spaces of a model.
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("{}:  {value}", json!(name))).collect();
        format!("{{{}}}", members.join(" , "))
    })
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        ".{1,20}".prop_map(Block::Text),
        (".{0,20}", "[a-zA-Z0-9+/]{1,20}")
            .prop_map(|(thinking, signature)| Block::Thinking { thinking, signature }),
        "[a-zA-Z0-9+/]{1,20}".prop_map(Block::Redacted),
        ("toolu_[a-zA-Z0-9]{1,9}", "[a-z_]{1,9}", arguments())
            .prop_map(|(id, name, arguments)| Block::Call { id, name, arguments }),
    ]
}

impl Block {
    fn in_one_piece(&self) -> String {
        match self {
            Block::Text(text) => json!({"type": "text", "text": text}).to_string(),
            Block::Thinking { thinking, signature } => {
                json!({"type": "thinking", "thinking": thinking, "signature": signature}).to_string()
            }
            Block::Redacted(data) => json!({"type": "redacted_thinking", "data": data}).to_string(),
            Block::Call { id, name, arguments } => {
                let (id, name) = (json!(id), json!(name));
                format!(r#"{{"type":"tool_use","id":{id},"name":{name},"input":{arguments}}}"#)
            }
        }
    }

    fn streamed(&self, index: u64, piece: usize) -> Vec<Value> {
        let (block, deltas) = match self {
            Block::Text(text) => {
                (json!({"type": "text", "text": ""}), vec![("text_delta", "text", text.as_str())])
            }
            Block::Thinking { thinking, signature } => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                vec![
                    ("thinking_delta", "thinking", thinking.as_str()),
                    ("signature_delta", "signature", signature),
                ],
            ),
            Block::Redacted(data) => (json!({"type": "redacted_thinking", "data": data}), vec![]),
            Block::Call { id, name, arguments } => (
                json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                vec![("input_json_delta", "partial_json", arguments.as_str())],
            ),
        };
        let mut events = vec![start(index, block)];
        for (kind, member, whole) in deltas {
            let chars: Vec<char> = whole.chars().collect();
            for piece in chars.chunks(piece) {
                events.push(delta(index, json!({"type": kind, member: piece.iter().collect::<String>()})));
            }
        }
        events.push(stop(index));
        events
    }
}

/// An event with the API's members, of which each may be anything.
fn event() -> impl Strategy<Value = (String, Value)> {
    let kinds = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "error",
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "text_delta",
        "thinking_delta",
        "signature_delta",
        "input_json_delta",
        "citations_delta",
        "refusal",
    ];
    let names = [
        "type",
        "index",
        "content_block",
        "delta",
        "message",
        "usage",
        "error",
        "content",
        "text",
        "thinking",
        "signature",
        "id",
        "name",
        "input",
        "partial_json",
        "citation",
        "citations",
        "url",
        "stop_reason",
        "input_tokens",
    ];
    let leaf = prop_oneof![
        prop::sample::select(kinds.to_vec()).prop_map(|kind| json!(kind)),
        prop::sample::select(vec![
            json!(0),
            json!(1),
            json!(-1),
            json!(1.5),
            json!(u64::MAX),
            json!(null),
            json!({})
        ]),
        ".{0,6}".prop_map(|text| json!(text)),
    ];
    let value = leaf.prop_recursive(3, 24, 6, move |inner| {
        let members = prop::collection::vec((prop::sample::select(names.to_vec()), inner.clone()), 0..6);
        prop_oneof![
            members.prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
            prop::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    });
    let kind = prop::sample::select(kinds[..6].to_vec());
    (kind, value.clone(), value).prop_map(|(kind, block, delta)| {
        let data = json!({"type": kind, "index": 0, "content_block": block, "delta": delta, "content": [delta, block]});
        (kind.to_owned(), data)
    })
}

/// The facts with texts in one piece each, and without what only counts.
fn joined(facts: Vec<Fact>) -> Vec<Fact> {
    let mut out: Vec<Fact> = Vec::new();
    for fact in facts {
        match (out.last_mut(), fact) {
            (_, Fact::Usage(_)) => {}
            (Some(Fact::Text { text, .. }), Fact::Text { text: more, .. }) => text.push_str(&more),
            (Some(Fact::ReasoningSummary(text)), Fact::ReasoningSummary(more)) => text.push_str(&more),
            (Some(Fact::Arguments { slot, delta }), Fact::Arguments { slot: of, delta: more })
                if *slot == of =>
            {
                delta.push_str(&more);
            }
            (_, fact) => out.push(fact),
        }
    }
    out
}

/// The blocks as the API gets them back: adjacent texts are one message, and white space that says nothing is left out.
fn expected(blocks: &[Block]) -> Vec<Value> {
    let mut joined: Vec<Block> = Vec::new();
    for block in blocks {
        match (joined.last_mut(), block) {
            (Some(Block::Text(text)), Block::Text(more)) => text.push_str(more),
            _ => joined.push(block.clone()),
        }
    }
    let says = |block: &&Block| !matches!(block, Block::Text(text) if text.trim().is_empty());
    joined.iter().filter(says).map(|block| serde_json::from_str(&block.in_one_piece()).unwrap()).collect()
}

/// What a caller gets: the response that its events make, each checked against the specification.
fn response(facts: Vec<Fact>) -> Value {
    let identity = Identity { id: "resp_1".into(), created_at_s: 0, model: "poet".into() };
    let mut lifecycle = Lifecycle::new(identity, Echo::of(&hello()), PROVIDER);
    let mut events = lifecycle.begin();
    for fact in facts {
        events.extend(lifecycle.fact(fact));
    }
    events.extend(lifecycle.end(0));
    client::read(&events)
}

/// Reads the events from the bytes that the API sends, cut into pieces of this size.
fn read_bytes(events: &[Value], piece: usize) -> Vec<Fact> {
    let named = |data: &Value| sse::write(data["type"].as_str().unwrap(), &data.to_string());
    let bytes: String = events.iter().map(named).collect();
    let (mut parser, mut parsed) = (sse::Parser::default(), Vec::new());
    for piece in bytes.as_bytes().chunks(piece) {
        parser.feed(piece, &mut parsed).unwrap();
    }
    parsed.extend(parser.finish().unwrap());
    let mut reader = Reader::default();
    parsed.iter().flat_map(|event| reader.event(event).unwrap()).collect()
}

proptest! {
    #[test]
    fn an_answer_says_the_same_in_any_pieces_and_in_one(
        blocks in prop::collection::vec(block(), 0..6),
        piece in 1_usize..8,
    ) {
        let events = (0..).zip(&blocks).flat_map(|(index, block)| block.streamed(index, piece)).collect();
        let events = answer(events, "end_turn");
        let streamed = read(&events).unwrap();
        prop_assert_eq!(&read_bytes(&events, piece), &streamed);
        let content: Vec<_> = blocks.iter().map(Block::in_one_piece).collect();
        let body = format!(r#"{{"content":[{}],"stop_reason":"end_turn"}}"#, content.join(","));
        prop_assert_eq!(joined(streamed), joined(whole(body.as_bytes()).unwrap()));
    }

    #[test]
    fn what_the_api_said_is_given_back_to_it_in_its_order_by_a_caller_who_keeps_the_output(
        blocks in prop::collection::vec(block(), 1..6),
        piece in 1_usize..8,
    ) {
        let events = (0..).zip(&blocks).flat_map(|(index, block)| block.streamed(index, piece)).collect();
        let response = response(read(&answer(events, "end_turn")).unwrap());
        let output = response["output"].as_array().unwrap();
        let input = [&[json!({"role": "user", "content": "Hello"})], output.as_slice()].concat();
        let request = json!({"model": MODEL, "input": input, "include": ["reasoning.encrypted_content"]});
        let sent = call(&Request::read(request.as_object().unwrap()).unwrap()).unwrap().body;
        let given_back = sent["messages"][1]["content"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(given_back, expected(&blocks));
    }

    #[test]
    fn any_request_is_asked_whole_or_refused_by_a_name(request in requests()) {
        match call(&request) {
            Ok(call) => {
                let body = call.body.as_object().unwrap();
                prop_assert!(body.values().all(|value| !value.is_null()));
                prop_assert_eq!(call.body["tools"].as_array().map_or(0, Vec::len), request.tools.len());
            }
            Err(refusal) => prop_assert!(!refusal.param.is_empty() && !refusal.message.is_empty()),
        }
    }

    #[test]
    fn no_events_and_no_bytes_make_it_panic(events in prop::collection::vec(event(), 0..12), data in ".{0,80}") {
        let mut reader = Reader::default();
        for (name, data) in events {
            let _ = reader.event(&sse::Event { name: name.clone(), data: data.to_string() });
            let _ = whole(data.to_string().as_bytes());
            let _ = super::super::error(500, data.to_string().as_bytes());
        }
        let _ = reader.event(&sse::Event { name: "message".into(), data: data.clone() });
        let _ = whole(data.as_bytes());
        let _ = super::super::error(500, data.as_bytes());
    }

    #[test]
    fn turns_alternate_and_results_stand_first(kinds in prop::collection::vec(0_u8..6, 1..20)) {
        let item = |kind: &u8| match kind {
            0 => user("a"),
            1 => assistant("b"),
            2 => function_call("call_1", "time", "{}"),
            3 => output("call_1", vec![text("c")]),
            4 => sealed("anthropic", &[json!({"type": "redacted_thinking", "data": "ZA=="})]),
            _ => said(Role::Developer, vec![text("d")]),
        };
        let Ok(call) = call(&request(kinds.iter().map(item).collect())) else {
            prop_assert!(kinds.iter().all(|kind| *kind == 5));
            return Ok(());
        };
        let messages = call.body["messages"].as_array().unwrap();
        prop_assert!(messages.windows(2).all(|pair| pair[0]["role"] != pair[1]["role"]));
        let mut blocks = 0;
        for message in messages {
            let content = message["content"].as_array().unwrap();
            prop_assert!(!content.is_empty());
            let is_result = |block: &Value| block["type"] == "tool_result";
            prop_assert!(content.is_sorted_by_key(|block| !is_result(block)));
            blocks += content.len();
        }
        prop_assert_eq!(blocks, kinds.iter().filter(|kind| **kind != 5).count());
    }
}

#[test]
fn every_end_is_a_response_as_the_specification_has_it() {
    let text = [Block::Text("Hello".into()).streamed(0, 9)].concat();
    let details = json!({"type": "refusal", "category": null, "explanation": "Not this."});
    let refusal =
        json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}});
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let begun = |end: Vec<Value>| [vec![message_start()], text.clone(), end].concat();
    let cases = [
        (answer(text.clone(), "end_turn"), "completed", json!(null)),
        (answer(text.clone(), "max_tokens"), "incomplete", json!({"reason": "max_output_tokens"})),
        (begun(vec![refusal]), "incomplete", json!({"reason": "content_filter"})),
        (begun(vec![overloaded]), "failed", json!(null)),
        (begun(vec![]), "failed", json!(null)),
    ];
    for (events, status, incomplete) in cases {
        let response = response(read(&events).unwrap());
        assert_eq!((&response["status"], &response["incomplete_details"]), (&json!(status), &incomplete));
        assert_eq!(response["output"][0]["content"][0]["text"], "Hello", "{status}");
        assert_eq!(response["usage"]["input_tokens"], 1_112, "{status}");
    }
}
