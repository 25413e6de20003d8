//! Graders: what scores a datum of an eval. Pure: JSON, templates, measures, questions and verdicts; no I/O, no SQL.
//!
//! [`validate`] checks a grader before there is data; [`begin`] says what is to be done for a datum (nothing, run code,
//! ask a judge, embed texts), [`finish`] what came of it. A fault of the user's grader, a fault of ours and a score are
//! three things and never become each other.

mod embedding;
mod fault;
mod formula;
mod grader;
mod judge;
mod message;
mod multi;
mod python;
mod read;
mod reference;
mod sample;
mod schema;
mod similarity;
mod steps;
mod string_check;
mod template;
#[cfg(test)]
mod tests;
mod validate;

pub use fault::{Code, GraderError, errors};
pub use grader::{
    Grader, LabelModel, Metric, Multi, Operation, Parts, Python, ReasoningEffort, SamplingParams, ScoreModel,
    StringCheck, TextSimilarity,
};
pub use message::{Audio, AudioFormat, Content, Detail, Message, MessageKind, Part, Piece, Role};
pub use python::{IMAGE_TAG, LIMITS as PYTHON_LIMITS, SOURCE_MAX_BYTES};
pub use read::{Refusal, grader as read};
pub use reference::{MissingReference, Reference, Root};
pub use sample::{of_response as sample_of_response, of_text as sample_of_text};
pub use similarity::{SimilarityError, TEXT_MAX_BYTES, score as similarity};
pub use steps::{QUESTION_WALL_MS, Scored, Step, StepEnd, begin, combine, finish};
pub use template::{RENDERED_MAX_BYTES, RenderError, TEMPLATE_MAX_BYTES, Template, TemplateError};
pub use validate::{Place, Scope, validate};
