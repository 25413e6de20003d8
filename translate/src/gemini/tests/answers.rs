//! What answers say, as golden files.
//!
//! Invariant: the chunks are of the documentation's form; the facts are what the lifecycle is told.

use super::{chunk, last, told};
use crate::fact::Fact;
use crate::gemini::{Reader, whole};
use crate::sse;
use insta::assert_debug_snapshot;
use serde_json::{Value, json};

fn usage(candidates: u64) -> Value {
    json!({
        "promptTokenCount": 20, "cachedContentTokenCount": 8, "candidatesTokenCount": candidates, "thoughtsTokenCount": 30,
        "totalTokenCount": 50 + candidates, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
    })
}

#[test]
fn a_text_comes_in_pieces_with_usage_that_grows() {
    let mut first = chunk(&json!([{"text": "Gray "}]));
    first["usageMetadata"] = json!({"promptTokenCount": 20});
    let mut end = last(&json!([{"text": "waves"}]));
    end["usageMetadata"] = usage(2);
    assert_debug_snapshot!("text_stream", told(&[first, end]));
}

#[test]
fn thoughts_texts_and_calls_are_items_of_their_own() {
    let chunks = [
        chunk(&json!([{"text": "**Weighing** ", "thought": true}])),
        chunk(&json!([{"text": "cities", "thought": true}])),
        chunk(&json!([{"text": "I will look."}])),
        chunk(&json!([
            {"functionCall": {"id": "fc1", "name": "weather", "args": {"city": "Paris"}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "weather", "args": {}}},
            {"functionCall": {"name": "now"}},
        ])),
        last(&json!([])),
    ];
    assert_debug_snapshot!("parallel_calls", told(&chunks));
}

#[test]
fn a_signature_of_a_text_is_told_when_the_message_ends() {
    let chunks = [
        chunk(&json!([{"text": "Grün"}])),
        last(&json!([{"text": "", "thoughtSignature": "c2ln"}])),
        json!({"usageMetadata": {}}),
    ];
    assert_debug_snapshot!("signed_text", told(&chunks));
}

#[test]
fn arguments_keep_the_order_of_keys_and_the_spelling_of_values() {
    let data = r#"{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {
        "z": 1.0, "a": [ 12345678901234567890123, "x  \" : \\" ],
        "é": "é\n "
    }}}]}, "finishReason": "STOP"}]}"#;
    let facts = whole(data.as_bytes()).unwrap();
    let delta = r#"{"z":1.0,"a":[12345678901234567890123,"x  \" : \\"],"é":"é\n "}"#;
    assert!(facts.contains(&Fact::Arguments { slot: 0, delta: delta.to_owned() }), "{facts:?}");
}

#[test]
fn log_probabilities_are_told_in_the_callers_form() {
    let mut answer = last(&json!([{"text": "Hé"}]));
    answer["candidates"][0]["logprobsResult"] = json!({
        "chosenCandidates": [{"token": "H", "logProbability": -0.25, "tokenId": 7}, {"token": "é"}],
        "topCandidates": [{"candidates": [{"token": "H", "logProbability": -0.25}, {"token": "h", "logProbability": -1.5}]}, {}],
    });
    assert_debug_snapshot!("logprobs", told(&[answer]));
}

#[test]
fn citations_count_characters_and_are_told_once() {
    let long = "é".repeat(300);
    let cite = |mut chunk: Value| {
        chunk["candidates"][0]["citationMetadata"] = json!({"citationSources": [
            {"endIndex": 4, "uri": "https://example.org/a"},
            {"startIndex": 2, "endIndex": 600, "uri": "https://example.org/b", "license": "mit"},
            {"startIndex": 2, "endIndex": 601, "uri": "https://example.org/beyond"},
            {"startIndex": 2, "endIndex": 4},
        ]});
        chunk
    };
    let facts = told(&[cite(chunk(&json!([{"text": long}]))), cite(last(&json!([])))]);
    let told = |fact: &Fact| if let Fact::Annotation(value) = fact { Some(value.clone()) } else { None };
    let annotations: Vec<Value> = facts.iter().filter_map(told).collect();
    let annotation = |start: u64, end: u64, url: &str| json!({"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": ""});
    assert_eq!(
        annotations,
        [annotation(0, 2, "https://example.org/a"), annotation(1, 300, "https://example.org/b")]
    );
}

#[test]
fn what_no_fact_can_say_is_an_unreadable_answer() {
    let cases = [
        json!([{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]),
        json!([{"executableCode": {"language": "PYTHON", "code": "1"}}]),
        json!([{"functionCall": {"name": "f", "args": [1]}}]),
        json!([{"functionCall": {"args": {}}}]),
        json!([{"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.a"}]}}]),
        json!([{"functionCall": {"name": "f", "willContinue": true}}]),
    ];
    for parts in cases {
        assert!(whole(last(&parts).to_string().as_bytes()).is_err(), "{parts}");
    }
    for body in
        ["", "null", "{}", "{\"candidates\":[]}", "[]", "<html>", "{\"candidates\":[{\"content\":{}}]}"]
    {
        assert!(whole(body.as_bytes()).is_err(), "{body}");
    }
    assert!(whole(b"\xff").is_err());
}

#[test]
fn nothing_but_usage_follows_the_end() {
    let mut reader = Reader::default();
    let mut say =
        |data: &Value| reader.event(&sse::Event { name: "message".to_owned(), data: data.to_string() });
    assert_eq!(
        say(&last(&json!([{"text": "Done."}]))).unwrap().last(),
        Some(&Fact::Finished(crate::fact::Finish::Done))
    );
    let mut usage_only = last(&json!([{"text": ""}]));
    usage_only["usageMetadata"] = usage(2);
    assert!(matches!(say(&usage_only).unwrap().as_slice(), [Fact::Usage(_)]));
    assert!(say(&chunk(&json!([{"text": "More."}]))).is_err());
}
