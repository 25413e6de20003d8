//! How a grader comes to a score: at once, or by a step that somebody else takes for it.
//!
//! [`begin`] says what is to be done for a datum, [`finish`] what came of it. Both are functions of values: whoever
//! calls them may do it again after any crash and gets the same.

use super::{
    embedding,
    fault::{Code, GraderError},
    grader::{Grader, Metric, Multi, StringCheck, TextSimilarity},
    judge, multi, python,
    similarity::{self, SimilarityError},
    string_check,
    template::{RenderError, Template, TemplateError},
};
use alphagate_contract::job::{Outcome, Report, SampleSpec, SandboxSpec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long a judge may take, milliseconds: reasoning models think for minutes.
pub const QUESTION_WALL_MS: u64 = 300_000;

/// A score, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The number; finite.
    pub score: f64,
    /// Whether it passes.
    pub passed: bool,
    /// What else the grader said: a judge's steps, the parts of a `multi`.
    pub detail: Option<Value>,
}

/// What is to be done for a score.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing more.
    Done(Scored),
    /// Code is to be run.
    Sandbox(Box<SandboxSpec>),
    /// A judge is to be asked.
    Ask {
        /// The endpoint.
        model: String,
        /// A request of the Responses API.
        body: Value,
    },
    /// Two texts are to be embedded.
    Embed {
        /// The endpoint.
        model: String,
        /// Input and reference.
        texts: [String; 2],
    },
    /// Several steps, by the names of the parts of a `multi`; [`combine`] makes one of them.
    Parts(BTreeMap<String, Result<Step, GraderError>>),
}

impl Step {
    /// The question to the edge, if the step is one.
    #[must_use]
    pub fn question(&self) -> Option<SampleSpec> {
        let (path, body) = match self {
            Self::Ask { body, .. } => ("/v1/responses", body.clone()),
            Self::Embed { model, texts } => {
                ("/v1/embeddings", json!({"model": model, "input": texts, "encoding_format": "float"}))
            }
            Self::Done(_) | Self::Sandbox(_) | Self::Parts(_) => return None,
        };
        Some(SampleSpec { path: path.to_owned(), body, wall_ms: QUESTION_WALL_MS })
    }
}

/// How the job of a step ended.
#[derive(Debug, Clone, Copy)]
pub struct StepEnd<'a> {
    /// What it means; none if it was canceled.
    pub outcome: Option<Outcome>,
    /// What is known of the last attempt.
    pub report: Option<&'a Report>,
}

/// What is to be done to grade a datum.
pub fn begin(grader: &Grader, item: &Value, sample: &Value) -> Result<Step, GraderError> {
    match grader {
        Grader::StringCheck(grader) => string_check_step(grader, item, sample).map(Step::Done),
        Grader::TextSimilarity(grader) => text_similarity_step(grader, item, sample),
        Grader::ScoreModel(grader) => {
            let body = judge::score_question(grader, item, sample)?;
            Ok(Step::Ask { model: grader.model.clone(), body })
        }
        Grader::LabelModel(grader) => {
            let body = judge::label_question(grader, item, sample)?;
            Ok(Step::Ask { model: grader.model.clone(), body })
        }
        Grader::Python(grader) => Ok(Step::Sandbox(Box::new(python::spec(grader, item, sample)?))),
        Grader::Multi(grader) => {
            let parts = grader.graders.list().into_iter();
            Ok(Step::Parts(parts.map(|(name, part)| (name.to_owned(), begin(part, item, sample))).collect()))
        }
    }
}

/// What a step's job says of the datum. A `multi` has a job per part: [`combine`] them.
pub fn finish(grader: &Grader, end: &StepEnd<'_>) -> Result<Scored, GraderError> {
    match grader {
        Grader::TextSimilarity(grader) => {
            let score = embedding::cosine(&answer(end)?)?;
            Ok(threshold(score, grader.pass_threshold))
        }
        Grader::ScoreModel(grader) => judge::score_verdict(grader, &answer(end)?),
        Grader::LabelModel(grader) => judge::label_verdict(grader, &answer(end)?),
        Grader::Python(grader) => python::verdict(grader, end),
        Grader::StringCheck(_) | Grader::Multi(_) => {
            Err(GraderError::ours(Code::Other, "this grader has no job of its own"))
        }
    }
}

/// The score of a `multi` from those of its parts. The first part without a score, in the order of names, is why there
/// is none.
pub fn combine(
    grader: &Multi,
    parts: &BTreeMap<String, Result<Scored, GraderError>>,
) -> Result<Scored, GraderError> {
    multi::combine(grader, parts)
}

fn string_check_step(grader: &StringCheck, item: &Value, sample: &Value) -> Result<Scored, GraderError> {
    let input = fill(&grader.input, item, sample)?;
    let reference = fill(&grader.reference, item, sample)?;
    let passed = string_check::holds(grader.operation, &input, &reference);
    Ok(Scored { score: f64::from(u8::from(passed)), passed, detail: None })
}

fn text_similarity_step(grader: &TextSimilarity, item: &Value, sample: &Value) -> Result<Step, GraderError> {
    let input = fill(&grader.input, item, sample)?;
    let reference = fill(&grader.reference, item, sample)?;
    if grader.evaluation_metric == Metric::Cosine {
        let model = grader.embedding_model.clone();
        let model =
            model.ok_or_else(|| GraderError::users(Code::Other, "`cosine` needs `embedding_model`"))?;
        return Ok(Step::Embed { model, texts: [input, reference] });
    }
    match similarity::score(grader.evaluation_metric, &input, &reference) {
        Ok(score) => Ok(Step::Done(threshold(score, grader.pass_threshold))),
        // Nobody gets out of being graded by writing too much.
        Err(error @ SimilarityError::InputTooLong) => {
            let detail = Some(json!({"note": error.to_string()}));
            Ok(Step::Done(Scored { detail, ..threshold(0.0, grader.pass_threshold) }))
        }
        Err(error) => Err(GraderError::users(Code::Other, error.to_string())),
    }
}

/// Without a threshold, in a grader run, only the full mark passes.
fn threshold(score: f64, threshold: Option<f64>) -> Scored {
    Scored { score, passed: score >= threshold.unwrap_or(1.0), detail: None }
}

fn fill(template: &str, item: &Value, sample: &Value) -> Result<String, GraderError> {
    Ok(Template::parse(template)?.render(item, sample)?)
}

/// The body that an endpoint answered with.
fn answer(end: &StepEnd<'_>) -> Result<Value, GraderError> {
    let server = |user_fault: bool, message: String| GraderError {
        code: Code::ModelGraderServer,
        user_fault,
        message,
    };
    let report = end.report.ok_or_else(|| server(false, "the endpoint was not asked".into()))?;
    let body = report.result.as_ref().and_then(|bytes| serde_json::from_slice::<Value>(&bytes.0).ok());
    match end.outcome {
        Some(Outcome::Passed) => {
            body.ok_or_else(|| server(false, "the endpoint's answer is not JSON".into()))
        }
        // The edge refused for good: a wrong name, a request too large, a quota. The user's to mend.
        Some(Outcome::Failed) => {
            let message =
                body.as_ref().and_then(|body| body.pointer("/error/message")).and_then(Value::as_str);
            Err(server(true, message.unwrap_or("the endpoint refused the request").to_owned()))
        }
        Some(Outcome::Timeout) => Err(server(true, "the endpoint did not answer in time".into())),
        None => Err(server(false, "canceled".into())),
        Some(_) => Err(server(false, "the endpoint could not be asked".into())),
    }
}

impl From<TemplateError> for GraderError {
    fn from(error: TemplateError) -> Self {
        Self::users(Code::InvalidVariable, error.to_string())
    }
}

impl From<RenderError> for GraderError {
    fn from(error: RenderError) -> Self {
        let code = match &error {
            RenderError::Missing(missing) if missing.is_json() => Code::SampleParse,
            RenderError::Missing(_) => Code::InvalidVariable,
            RenderError::TooLong => Code::Other,
        };
        Self::users(code, error.to_string())
    }
}
