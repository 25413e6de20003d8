//! Reads graders strictly: what is unknown, missing or of another kind is refused with the path of the field.

use super::grader::{Grader, Multi, Parts};
use crate::body::param;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most graders in a `multi`: each may be a job of its own.
pub const PARTS_MAX: usize = 16;

/// What is wrong with a grader, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{param}: {message}")]
pub struct Refusal {
    /// The path of the field, from the grader on: `input[0].content`.
    pub param: String,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A field that cannot be accepted.
    #[must_use]
    pub fn new(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: param.into(), message: message.into() }
    }

    /// The same, seen from further out: `testing_criteria[0]` before `input`.
    #[must_use]
    pub fn under(self, outer: &str) -> Self {
        let param = if self.param.is_empty() { outer.to_owned() } else { format!("{outer}.{}", self.param) };
        Self { param, ..self }
    }
}

/// Reads a grader.
pub fn grader(value: Value) -> Result<Grader, Refusal> {
    let Value::Object(mut fields) = value else {
        return Err(Refusal::new("", "a grader is an object"));
    };
    let Some(kind) = fields.remove("type") else {
        return Err(Refusal::new("type", "missing field `type`"));
    };
    match kind.as_str() {
        Some("string_check") => strict(fields).map(Grader::StringCheck),
        Some("text_similarity") => strict(fields).map(Grader::TextSimilarity),
        Some("score_model") => strict(fields).map(Grader::ScoreModel),
        Some("label_model") => strict(fields).map(Grader::LabelModel),
        Some("python") => strict(fields).map(Grader::Python),
        Some("multi") => multi(fields).map(Grader::Multi),
        _ => Err(Refusal::new(
            "type",
            "the type of a grader is `string_check`, `text_similarity`, `score_model`, `label_model`, `python` or `multi`",
        )),
    }
}

fn multi(mut fields: Map<String, Value>) -> Result<Multi, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Head {
        name: String,
        calculate_output: String,
    }
    let Some(graders) = fields.remove("graders") else {
        return Err(Refusal::new("graders", "missing field `graders`"));
    };
    let Head { name, calculate_output } = strict(fields)?;
    Ok(Multi { name, graders: parts(graders)?, calculate_output })
}

fn parts(value: Value) -> Result<Parts, Refusal> {
    let Value::Object(fields) = value else {
        return Err(Refusal::new("graders", "it is a map from names to graders, or one grader"));
    };
    // A map may have a grader named `type`; one grader has a text there.
    if fields.get("type").is_some_and(Value::is_string) {
        let one = part(Value::Object(fields)).map_err(|refusal| refusal.under("graders"))?;
        return Ok(Parts::One(Box::new(one)));
    }
    if !(1..=PARTS_MAX).contains(&fields.len()) {
        return Err(Refusal::new("graders", format!("a `multi` has 1 to {PARTS_MAX} graders")));
    }
    let mut named = BTreeMap::new();
    for (name, value) in fields {
        let part = part(value).map_err(|refusal| refusal.under(&format!("graders.{name}")))?;
        named.insert(name, part);
    }
    Ok(Parts::Named(named))
}

/// A grader inside a `multi`. Nesting stops here, before it is followed: a deep one costs nothing.
fn part(value: Value) -> Result<Grader, Refusal> {
    if value.get("type").and_then(Value::as_str) == Some("multi") {
        return Err(Refusal::new("type", "a `multi` cannot be inside another"));
    }
    grader(value)
}

fn strict<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let message = error.inner().to_string();
        Refusal::new(param(&error.path().to_string(), &message), message)
    })
}
