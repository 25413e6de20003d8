//! What can be known of a grader before there is data.

use super::super::{Place, SOURCE_MAX_BYTES, Scope, read, validate};
use serde_json::{Value, json};

fn checked(grader: Value, place: Place, sample: bool) -> Result<(), (String, String)> {
    let schema = json!({"type": "object", "properties": {"q": {"type": "string"}, "a": {"type": "object"}}});
    let scope = Scope { place, item_schema: Some(&schema), sample };
    validate(&read(grader).unwrap(), &scope).map_err(|refusal| (refusal.param, refusal.message))
}

fn judge(change: Value) -> Value {
    let mut grader = json!({"type": "score_model", "name": "n", "model": "m", "input": [{"role": "user", "content": "{{item.q}}"}]});
    merge(&mut grader, change);
    grader
}

fn merge(grader: &mut Value, change: Value) {
    let (Value::Object(fields), Value::Object(change)) = (grader, change) else { panic!("two objects") };
    fields.extend(change);
}

#[test]
fn good_graders_pass() {
    let python = "def grade(sample, item):\n    return 1";
    let check = json!({"type": "string_check", "name": "n", "input": "{{sample.output_text}}", "reference": "{{item.a.b.c}}", "operation": "eq"});
    for grader in [
        check.clone(),
        json!({"type": "text_similarity", "name": "n", "input": "{{item}}", "reference": "x", "evaluation_metric": "bleu", "pass_threshold": 0.5}),
        json!({"type": "text_similarity", "name": "n", "input": "x", "reference": "x", "evaluation_metric": "cosine", "pass_threshold": 0.5, "embedding_model": "e"}),
        judge(
            json!({"range": [-1, 1], "pass_threshold": -1, "sampling_params": {"temperature": 2, "top_p": null}}),
        ),
        json!({"type": "label_model", "name": "n", "model": "m", "input": [{"role": "user", "content": "x"}], "labels": ["a", "b"], "passing_labels": ["a"]}),
        json!({"type": "python", "name": "n", "source": python}),
    ] {
        assert_eq!(checked(grader.clone(), Place::Eval, true), Ok(()), "{grader}");
    }
    let multi =
        json!({"type": "multi", "name": "n", "calculate_output": "max(x, 0.5) ^ 2", "graders": {"x": check}});
    assert_eq!(checked(multi, Place::GraderRun, true), Ok(()));
}

#[test]
fn bad_graders_are_refused_where_they_are_bad() {
    let check = |input: &str| json!({"type": "string_check", "name": "n", "input": input, "reference": "x", "operation": "eq"});
    let similarity = |change: Value| {
        let mut grader = json!({"type": "text_similarity", "name": "n", "input": "x", "reference": "y", "evaluation_metric": "bleu", "pass_threshold": 1});
        merge(&mut grader, change);
        grader
    };
    let label = |labels: Value, passing: Value| json!({"type": "label_model", "name": "n", "model": "m", "input": [{"role": "user", "content": "x"}], "labels": labels, "passing_labels": passing});
    let python =
        |source: &str, tag: Value| json!({"type": "python", "name": "n", "source": source, "image_tag": tag});
    let long = format!("def grade(sample, item): return 1 #{}", "x".repeat(SOURCE_MAX_BYTES));
    let cases = [
        (check("{{item.nope}}"), "input", "`item.nope` is not in the schema"),
        (check("{{item.q.deep}}"), "input", "not in the schema"),
        (check("{{other.q}}"), "input", "is not a reference"),
        (check("{{item.q"), "input", "not closed"),
        (check(&"x".repeat(300_000)), "input", "at most 256000 bytes"),
        (similarity(json!({"pass_threshold": null})), "pass_threshold", "missing"),
        (
            similarity(json!({"evaluation_metric": "cosine"})),
            "embedding_model",
            "`cosine` needs `embedding_model`",
        ),
        (similarity(json!({"embedding_model": "e"})), "embedding_model", "only `cosine`"),
        (similarity(json!({"name": " "})), "name", "1 to 200"),
        (judge(json!({"model": ""})), "model", "1 to 200"),
        (judge(json!({"input": []})), "input", "1 to 64"),
        (
            judge(json!({"input": [{"role": "user", "content": ["ok", "{{item.nope}}"]}]})),
            "input[0].content[1]",
            "item.nope",
        ),
        (
            judge(
                json!({"input": [{"role": "user", "content": {"type": "input_image", "image_url": "{{x}}"}}]}),
            ),
            "input[0].content.image_url",
            "reference",
        ),
        (judge(json!({"range": [1, 1]})), "range", "less than"),
        (judge(json!({"range": [1, 5], "pass_threshold": 0})), "pass_threshold", "outside"),
        (
            judge(json!({"sampling_params": {"temperature": 2.1}})),
            "sampling_params.temperature",
            "between 0 and 2",
        ),
        (
            judge(json!({"sampling_params": {"max_completions_tokens": 0}})),
            "sampling_params.max_completions_tokens",
            "between",
        ),
        (label(json!([]), json!([])), "labels", "1 to 250"),
        (label(json!(["a", "a"]), json!(["a"])), "labels[1]", "differ"),
        (label(json!(["a "]), json!(["a "])), "labels[0]", "space"),
        (label(json!(["a"]), json!(["b"])), "passing_labels[0]", "not one of"),
        (label(json!(["a"]), json!([])), "passing_labels", "nothing can pass"),
        (python("print(1)", json!(null)), "source", "no function `grade"),
        (python(&long, json!(null)), "source", "less than 256000 bytes"),
        (python("def grade(s, i): ...", json!("2024-01-01")), "image_tag", "2025-05-08"),
    ];
    for (grader, param, message) in cases {
        let (at, said) = checked(grader, Place::Eval, true).unwrap_err();
        assert_eq!(at, param, "{said}");
        assert!(said.contains(message), "{param}: {said}");
    }
}

#[test]
fn samples_are_refused_where_there_are_none() {
    let grader = json!({"type": "string_check", "name": "n", "input": "{{sample.output_text}}", "reference": "x", "operation": "eq"});
    let (param, message) = checked(grader, Place::Eval, false).unwrap_err();
    assert_eq!(param, "input");
    assert!(message.contains("include_sample_schema"), "{message}");
}

#[test]
fn multi_is_for_grader_runs_and_its_formula_fits_its_graders() {
    let multi = |formula: &str, part: Value| json!({"type": "multi", "name": "n", "calculate_output": formula, "graders": {"x": part}});
    let part =
        json!({"type": "string_check", "name": "y", "input": "a", "reference": "b", "operation": "eq"});
    assert_eq!(checked(multi("x", part.clone()), Place::Eval, true).unwrap_err().0, "type");
    for (formula, message) in
        [("x +", "not complete"), ("x + y", "`y` is not the name"), ("os.exit()", "cannot stand")]
    {
        let (param, said) = checked(multi(formula, part.clone()), Place::GraderRun, true).unwrap_err();
        assert_eq!(param, "calculate_output");
        assert!(said.contains(message), "{said}");
    }
    let broken = json!({"type": "python", "name": "y", "source": "x"});
    assert_eq!(checked(multi("x", broken), Place::GraderRun, true).unwrap_err().0, "graders.x.source");
}
