//! `multi`: a formula over the scores of other graders.

use super::{
    fault::{Code, GraderError},
    formula::Formula,
    grader::{Multi, Parts},
    steps::Scored,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

impl Parts {
    /// The path of a part in JSON.
    pub(super) fn path(&self, name: &str) -> String {
        match self {
            Self::One(_) => "graders".to_owned(),
            Self::Named(_) => format!("graders.{name}"),
        }
    }
}

/// The score by the formula. It passes with the full mark: a `multi` has no threshold of its own.
pub(super) fn combine(
    grader: &Multi,
    parts: &BTreeMap<String, Result<Scored, GraderError>>,
) -> Result<Scored, GraderError> {
    let unreadable =
        |error: super::formula::FormulaError| GraderError::users(Code::FormulaParse, error.to_string());
    let formula = Formula::parse(&grader.calculate_output).map_err(unreadable)?;
    let mut scores = BTreeMap::new();
    for (name, part) in parts {
        let scored = part.as_ref().map_err(|error| GraderError {
            message: format!("{name}: {}", error.message),
            ..error.clone()
        })?;
        scores.insert(name.as_str(), scored.score);
    }
    let score = formula.compute(&|name| scores.get(name).copied()).map_err(unreadable)?;
    let detail: Map<String, Value> =
        scores.iter().map(|(name, score)| ((*name).to_owned(), (*score).into())).collect();
    Ok(Scored { score, passed: score >= 1.0, detail: Some(Value::Object(detail)) })
}
