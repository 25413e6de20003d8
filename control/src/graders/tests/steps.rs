//! From a datum to a score, for graders that need no job, embeddings and `multi`.

use super::super::{
    Code, Grader, Multi, Step, StepEnd, begin, combine, finish, read, sample_of_response, sample_of_text,
};
use alphagate_contract::job::{Bytes, Ending, Outcome, Report};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn done(grader: Value, item: &Value, sample: &Value) -> (f64, bool) {
    match begin(&read(grader).unwrap(), item, sample) {
        Ok(Step::Done(scored)) => (scored.score, scored.passed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_are_compared_at_once() {
    let item = json!({"answer": "Paris"});
    let check = json!({"type": "string_check", "name": "n", "input": "{{sample.output_text}}", "reference": "{{item.answer}}", "operation": "like"});
    assert_eq!(done(check.clone(), &item, &sample_of_text("It is Paris.")), (1.0, true));
    assert_eq!(done(check, &item, &sample_of_text("It is Rome.")), (0.0, false));
    let similarity = |threshold: Value| json!({"type": "text_similarity", "name": "n", "input": "{{sample.output_text}}", "reference": "{{item.answer}}", "evaluation_metric": "rouge_1", "pass_threshold": threshold});
    assert_eq!(done(similarity(json!(0.5)), &item, &sample_of_text("is Paris big")), (0.5, true));
    assert_eq!(done(similarity(json!(0.6)), &item, &sample_of_text("is Paris big")), (0.5, false));
    assert_eq!(done(similarity(json!(null)), &item, &sample_of_text("Paris")), (1.0, true));
}

#[test]
fn writing_too_much_does_not_get_anybody_out_of_being_graded() {
    let grader = json!({"type": "text_similarity", "name": "n", "input": "{{sample.output_text}}", "reference": "x", "evaluation_metric": "bleu", "pass_threshold": 0.1});
    assert_eq!(done(grader, &json!({}), &sample_of_text(&"x ".repeat(100_000))), (0.0, false));
}

#[test]
fn what_a_datum_lacks_is_the_users_error() {
    let check = |input: &str| {
        read(
            json!({"type": "string_check", "name": "n", "input": input, "reference": "x", "operation": "eq"}),
        )
        .unwrap()
    };
    let error = begin(&check("{{item.nope}}"), &json!({}), &json!({})).unwrap_err();
    assert_eq!((error.code, error.user_fault), (Code::InvalidVariable, true));
    assert!(error.message.contains("item.nope"), "{}", error.message);
    let error =
        begin(&check("{{sample.output_json.x}}"), &json!({}), &sample_of_text("no json")).unwrap_err();
    assert_eq!(error.code, Code::SampleParse);
}

#[test]
fn cosine_asks_for_embeddings_and_takes_their_angle() {
    let grader = read(json!({"type": "text_similarity", "name": "n", "input": "a", "reference": "b", "evaluation_metric": "cosine", "pass_threshold": 0.9, "embedding_model": "embed"})).unwrap();
    let step = begin(&grader, &json!({}), &json!({})).unwrap();
    let question = step.question().unwrap();
    assert_eq!(question.path, "/v1/embeddings");
    assert_eq!(question.body, json!({"model": "embed", "input": ["a", "b"], "encoding_format": "float"}));
    let answer =
        json!({"data": [{"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": [1.0, 0.1]}]});
    let ending = Ending::Answered { status: 200, request_id: None, retry_after_ms: None };
    let report = Report { result: Some(Bytes(answer.to_string().into_bytes())), ..Report::of(ending) };
    let scored = finish(&grader, &StepEnd { outcome: Some(Outcome::Passed), report: Some(&report) }).unwrap();
    assert!((scored.score - 1.0 / 1.01_f64.sqrt()).abs() < 1e-12 && scored.passed);
}

fn multi(formula: &str) -> Multi {
    let check = |input: &str| json!({"type": "string_check", "name": "n", "input": input, "reference": "x", "operation": "eq"});
    let parts = json!({"right": check("x"), "wrong": check("y"), "lost": check("{{item.nope}}")});
    match read(json!({"type": "multi", "name": "m", "graders": parts, "calculate_output": formula})).unwrap()
    {
        Grader::Multi(multi) => multi,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_multi_is_its_parts_and_a_formula() {
    let grader = multi("(right + wrong) / 2");
    let Ok(Step::Parts(parts)) = begin(&Grader::Multi(grader.clone()), &json!({}), &json!({})) else {
        panic!("parts")
    };
    let mut scores = BTreeMap::new();
    for (name, step) in parts {
        match step {
            Ok(Step::Done(scored)) => assert!(scores.insert(name, Ok(scored)).is_none()),
            Err(error) => assert_eq!((name.as_str(), error.code), ("lost", Code::InvalidVariable)),
            other => panic!("{other:?}"),
        }
    }
    let scored = combine(&grader, &scores).unwrap();
    assert_eq!((scored.score, scored.passed), (0.5, false));
    assert_eq!(scored.detail, Some(json!({"right": 1.0, "wrong": 0.0})));
    let error = combine(&multi("right / wrong"), &scores).unwrap_err();
    assert_eq!((error.code, error.user_fault), (Code::FormulaParse, true));
}

#[test]
fn a_multi_fails_as_its_part_failed() {
    let lost = begin(&Grader::Multi(multi("lost")), &json!({}), &json!({}));
    let Ok(Step::Parts(mut parts)) = lost else { panic!("parts") };
    let error = parts.remove("lost").unwrap().unwrap_err();
    let error = combine(&multi("lost"), &[("lost".to_owned(), Err(error))].into()).unwrap_err();
    assert_eq!(error.code, Code::InvalidVariable);
    assert!(error.message.starts_with("lost: "), "{}", error.message);
}

#[test]
fn a_sample_has_text_json_and_tools() {
    assert_eq!(sample_of_text("a"), json!({"output_text": "a"}));
    assert_eq!(sample_of_text(r#"{"x": 1}"#), json!({"output_text": r#"{"x": 1}"#, "output_json": {"x": 1}}));
    let response = json!({"output": [
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "message", "content": [{"type": "output_text", "text": "4"}, {"type": "output_text", "text": "2"}]},
    ]});
    assert_eq!(
        sample_of_response(&response),
        json!({"output_text": "42", "output_json": 42, "output_tools": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]})
    );
}
