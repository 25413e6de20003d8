//! Graders in JSON: OpenAI's examples stay what they are, and what is wrong is named.

use super::super::{Grader, Refusal, read};
use serde_json::{Value, json};

/// One of every kind, with every field.
fn examples() -> Vec<Value> {
    let messages = json!([
        {"role": "system", "content": "You are strict."},
        {"role": "developer", "content": {"type": "input_text", "text": "{{item.q}}"}, "type": "message"},
        {"role": "user", "content": [
            "{{item.q}}",
            {"type": "input_text", "text": "{{sample.output_text}}"},
            {"type": "input_image", "image_url": "{{item.url}}", "detail": "low"},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
    ]);
    vec![
        json!({"type": "string_check", "name": "a", "input": "{{sample.output_text}}", "reference": "x", "operation": "ilike"}),
        json!({"type": "text_similarity", "name": "b", "input": "x", "reference": "y", "evaluation_metric": "rouge_l", "pass_threshold": 0.5}),
        json!({"type": "text_similarity", "name": "b", "input": "x", "reference": "y", "evaluation_metric": "cosine", "embedding_model": "e"}),
        json!({"type": "score_model", "name": "c", "model": "judge", "input": messages, "range": [1.0, 7.0], "pass_threshold": 5.5,
            "sampling_params": {"max_completions_tokens": 100, "reasoning_effort": "xhigh", "seed": 42, "temperature": 0.0, "top_p": 1.0}}),
        json!({"type": "label_model", "name": "d", "model": "judge", "input": messages, "labels": ["good", "bad"], "passing_labels": ["good"]}),
        json!({"type": "python", "name": "e", "source": "def grade(sample, item):\n    return 1.0", "image_tag": "2025-05-08", "pass_threshold": 0.9}),
        json!({"type": "multi", "name": "f", "calculate_output": "(one + two) / 2", "graders": {
            "one": {"type": "string_check", "name": "1", "input": "x", "reference": "x", "operation": "eq"},
            "two": {"type": "python", "name": "2", "source": "def grade(sample, item): return 1"},
        }}),
        json!({"type": "multi", "name": "g", "calculate_output": "one", "graders":
            {"type": "string_check", "name": "one", "input": "x", "reference": "x", "operation": "eq"}}),
    ]
}

#[test]
fn what_is_read_is_written_as_it_was() {
    for example in examples() {
        let grader = read(example.clone()).unwrap();
        assert_eq!(serde_json::to_value(&grader).unwrap(), example);
        assert_eq!(serde_json::from_value::<Grader>(example.clone()).unwrap(), grader);
        assert_eq!(grader.kind(), example["type"]);
        assert_eq!(grader.name(), example["name"]);
    }
}

#[test]
fn the_endpoints_that_graders_ask_are_known() {
    let models: Vec<Vec<String>> = examples()
        .into_iter()
        .map(|example| read(example).unwrap().models().into_iter().map(str::to_owned).collect())
        .collect();
    assert_eq!(models.concat(), ["e", "judge", "judge"]);
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let changed = |at: usize, path: &str, value: Value| {
        let mut example = examples()[at].clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        let object = example.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value == json!("<removed>") {
            object.remove(field).unwrap();
        } else {
            object.insert(field.to_owned(), value);
        }
        read(example).unwrap_err().param
    };
    let cases = [
        (0, "/extra", json!(1), "extra"),
        (0, "/name", json!("<removed>"), "name"),
        (0, "/type", json!("<removed>"), "type"),
        (0, "/type", json!("regex"), "type"),
        (0, "/operation", json!("contains"), "operation"),
        (0, "/input", json!(1), "input"),
        (1, "/evaluation_metric", json!("rouge_6"), "evaluation_metric"),
        (1, "/pass_threshold", json!("0.5"), "pass_threshold"),
        (3, "/range", json!([0]), "range"),
        (3, "/sampling_params/top_k", json!(1), "sampling_params.top_k"),
        (3, "/input/0/content", json!(1), "input[0].content"),
        (3, "/input/0/role", json!("tool"), "input[0].role"),
        (3, "/input/0/name", json!("x"), "input[0].name"),
        (3, "/input/2/content/1/type", json!("input_file"), "input[2].content[1].type"),
        (3, "/input/2/content/1/extra", json!(1), "input[2].content[1].extra"),
        (3, "/input/1/content/text", json!("<removed>"), "input[1].content.text"),
        (4, "/labels", json!("good"), "labels"),
        (5, "/source", json!(null), "source"),
        (6, "/graders", json!("<removed>"), "graders"),
        (6, "/graders", json!([]), "graders"),
        (6, "/graders", json!({}), "graders"),
        (6, "/graders/one/extra", json!(1), "graders.one.extra"),
        (6, "/graders/one/type", json!("multi"), "graders.one.type"),
        (6, "/pass_threshold", json!(1), "pass_threshold"),
        (7, "/graders/operation", json!("<removed>"), "graders.operation"),
    ];
    for (at, path, value, param) in cases {
        assert_eq!(changed(at, path, value.clone()), param, "{path} {value}");
    }
    assert_eq!(read(json!([])).unwrap_err(), Refusal::new("", "a grader is an object"));
}

#[test]
fn a_refusal_is_seen_from_further_out() {
    assert_eq!(Refusal::new("input", "x").under("testing_criteria[0]").param, "testing_criteria[0].input");
    assert_eq!(Refusal::new("", "x").under("grader").param, "grader");
}

#[test]
fn a_multi_that_nests_without_end_is_refused_at_once() {
    let mut nested =
        json!({"type": "string_check", "name": "x", "input": "", "reference": "", "operation": "eq"});
    for _ in 0..50 {
        nested = json!({"type": "multi", "name": "x", "calculate_output": "x", "graders": {"x": nested}});
    }
    assert_eq!(read(nested).unwrap_err().param, "graders.x.type");
}
