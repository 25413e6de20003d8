//! Whether a grader can grade: what can be known before the first datum is.
//!
//! Templates are read, their references looked up in the data's schema, numbers and sizes bounded, labels, image tags
//! and formulas checked. What passes here fails on a datum only by what is in the datum.

use super::{
    formula::Formula,
    grader::{Grader, LabelModel, Metric, Multi, Python, SamplingParams, ScoreModel, TextSimilarity},
    message::Message,
    python,
    read::Refusal,
    reference::{Reference, Root},
    schema,
    template::Template,
};
use std::collections::BTreeSet;

/// Longest name of a grader, an endpoint or a label, in characters.
pub const NAME_MAX_LEN: usize = 200;
/// Most messages to a judge.
pub const MESSAGES_MAX: usize = 64;
/// Most labels: what a structured output can list.
pub const LABELS_MAX: usize = 250;
/// Most tokens of a judge's answer: beyond what any model writes.
pub const JUDGE_TOKENS_MAX: u64 = 1_000_000;

/// Where a grader is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A criterion of an eval.
    Eval,
    /// A grader run, or its validation.
    GraderRun,
}

/// What a grader may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Where it is used.
    pub place: Place,
    /// JSON schema of the items; none where it is not known.
    pub item_schema: Option<&'a serde_json::Value>,
    /// Whether there are samples.
    pub sample: bool,
}

type Checked = Result<(), Refusal>;

/// Checks a grader; the path in a refusal starts at the grader.
pub fn validate(grader: &Grader, scope: &Scope<'_>) -> Checked {
    name("name", grader.name())?;
    match grader {
        Grader::StringCheck(grader) => pair(&grader.input, &grader.reference, scope),
        Grader::TextSimilarity(grader) => text_similarity(grader, scope),
        Grader::ScoreModel(grader) => score_model(grader, scope),
        Grader::LabelModel(grader) => label_model(grader, scope),
        Grader::Python(grader) => python_grader(grader),
        Grader::Multi(grader) => multi(grader, scope),
    }
}

fn pair(input: &str, reference: &str, scope: &Scope<'_>) -> Checked {
    template("input", input, scope)?;
    template("reference", reference, scope)
}

fn text_similarity(grader: &TextSimilarity, scope: &Scope<'_>) -> Checked {
    pair(&grader.input, &grader.reference, scope)?;
    match (grader.evaluation_metric, &grader.embedding_model) {
        (Metric::Cosine, None) => {
            return Err(Refusal::new(
                "embedding_model",
                "`cosine` needs `embedding_model`: the name of an endpoint that serves /v1/embeddings; there is no default",
            ));
        }
        (Metric::Cosine, Some(model)) => name("embedding_model", model)?,
        (_, Some(_)) => {
            return Err(Refusal::new("embedding_model", "only `cosine` takes an `embedding_model`"));
        }
        (_, None) => {}
    }
    if scope.place == Place::Eval && grader.pass_threshold.is_none() {
        return Err(Refusal::new("pass_threshold", "missing field `pass_threshold`"));
    }
    threshold(grader.pass_threshold)
}

fn score_model(grader: &ScoreModel, scope: &Scope<'_>) -> Checked {
    name("model", &grader.model)?;
    messages(&grader.input, scope)?;
    if let Some([least, greatest]) = grader.range {
        finite("range[0]", least)?;
        finite("range[1]", greatest)?;
        if least >= greatest {
            return Err(Refusal::new("range", "the first number of a range is less than the second"));
        }
    }
    threshold(grader.pass_threshold)?;
    let [least, greatest] = grader.bounds();
    if grader.pass_threshold.is_some_and(|threshold| !(least..=greatest).contains(&threshold)) {
        return Err(Refusal::new(
            "pass_threshold",
            format!("it lies outside the range [{least}, {greatest}]"),
        ));
    }
    grader.sampling_params.as_ref().map_or(Ok(()), sampling)
}

fn sampling(params: &SamplingParams) -> Checked {
    let within = |field: &str, value: Option<f64>, most: f64| match value {
        Some(value) if !(0.0..=most).contains(&value) => {
            Err(Refusal::new(format!("sampling_params.{field}"), format!("it lies between 0 and {most}")))
        }
        _ => Ok(()),
    };
    within("temperature", params.temperature, 2.0)?;
    within("top_p", params.top_p, 1.0)?;
    match params.max_completions_tokens {
        Some(tokens) if !(1..=JUDGE_TOKENS_MAX).contains(&tokens) => Err(Refusal::new(
            "sampling_params.max_completions_tokens",
            format!("it lies between 1 and {JUDGE_TOKENS_MAX}"),
        )),
        _ => Ok(()),
    }
}

fn label_model(grader: &LabelModel, scope: &Scope<'_>) -> Checked {
    name("model", &grader.model)?;
    messages(&grader.input, scope)?;
    if !(1..=LABELS_MAX).contains(&grader.labels.len()) {
        return Err(Refusal::new("labels", format!("there are 1 to {LABELS_MAX} labels")));
    }
    let mut seen = BTreeSet::new();
    for (at, label) in grader.labels.iter().enumerate() {
        name(&format!("labels[{at}]"), label)?;
        if label.trim() != label || !seen.insert(label) {
            return Err(Refusal::new(
                format!("labels[{at}]"),
                "labels differ, and have no space around them",
            ));
        }
    }
    for (at, label) in grader.passing_labels.iter().enumerate() {
        if !seen.contains(label) {
            return Err(Refusal::new(format!("passing_labels[{at}]"), "it is not one of `labels`"));
        }
    }
    if grader.passing_labels.is_empty() {
        return Err(Refusal::new("passing_labels", "without a passing label nothing can pass"));
    }
    Ok(())
}

fn python_grader(grader: &Python) -> Checked {
    if grader.source.len() >= python::SOURCE_MAX_BYTES {
        return Err(Refusal::new(
            "source",
            format!("a source has less than {} bytes", python::SOURCE_MAX_BYTES),
        ));
    }
    if !grader.source.contains("grade") {
        return Err(Refusal::new("source", "it defines no function `grade(sample, item)`"));
    }
    if python::image(grader.image_tag.as_deref()).is_none() {
        return Err(Refusal::new(
            "image_tag",
            format!("there is no such image; there is `{}`", python::IMAGE_TAG),
        ));
    }
    threshold(grader.pass_threshold)
}

fn multi(grader: &Multi, scope: &Scope<'_>) -> Checked {
    if scope.place == Place::Eval {
        return Err(Refusal::new("type", "`multi` is for grader runs; an eval has several criteria instead"));
    }
    let parts = grader.graders.list();
    for (part_name, part) in &parts {
        let path = grader.graders.path(part_name);
        validate(part, scope).map_err(|refusal| refusal.under(&path))?;
    }
    let formula = Formula::parse(&grader.calculate_output)
        .map_err(|error| Refusal::new("calculate_output", error.to_string()))?;
    let stranger = formula.names().into_iter().find(|used| !parts.iter().any(|(name, _)| name == used));
    stranger.map_or(Ok(()), |used| {
        Err(Refusal::new("calculate_output", format!("`{used}` is not the name of one of the graders")))
    })
}

fn messages(messages: &[Message], scope: &Scope<'_>) -> Checked {
    if !(1..=MESSAGES_MAX).contains(&messages.len()) {
        return Err(Refusal::new("input", format!("there are 1 to {MESSAGES_MAX} messages")));
    }
    for (at, message) in messages.iter().enumerate() {
        for (path, text) in message.content.templates() {
            template(&format!("input[{at}].content{path}"), text, scope)?;
        }
    }
    Ok(())
}

fn template(param: &str, text: &str, scope: &Scope<'_>) -> Checked {
    let template = Template::parse(text).map_err(|error| Refusal::new(param, error.to_string()))?;
    template.references().try_for_each(|reference| known(param, reference, scope))
}

fn known(param: &str, reference: &Reference, scope: &Scope<'_>) -> Checked {
    match reference.root() {
        Root::Sample if !scope.sample => Err(Refusal::new(
            param,
            format!(
                "`{reference}`: there are no samples here; an eval has them with `include_sample_schema`"
            ),
        )),
        Root::Item if scope.item_schema.is_some_and(|schema| !schema::may_have(schema, reference.keys())) => {
            Err(Refusal::new(param, format!("`{reference}` is not in the schema of the items")))
        }
        Root::Item | Root::Sample => Ok(()),
    }
}

fn name(param: &str, text: &str) -> Checked {
    if text.trim().is_empty() || text.chars().count() > NAME_MAX_LEN {
        return Err(Refusal::new(param, format!("it has 1 to {NAME_MAX_LEN} characters")));
    }
    Ok(())
}

fn threshold(threshold: Option<f64>) -> Checked {
    threshold.map_or(Ok(()), |value| finite("pass_threshold", value))
}

fn finite(param: &str, value: f64) -> Checked {
    if value.is_finite() { Ok(()) } else { Err(Refusal::new(param, "it is a finite number")) }
}
