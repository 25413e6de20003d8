//! Graders in JSON: OpenAI's shapes, read strictly and written as they were read.
//!
//! `name` and `type` are in all of them. `pass_threshold` is in those of an eval's criteria; OpenAI's references leave
//! it out of grader runs, here it may stand in both. One field is ours: `embedding_model` of `text_similarity`.

use super::{message::Message, read};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use std::collections::BTreeMap;

/// Something that scores a datum.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Grader {
    /// Compares two texts letter by letter.
    StringCheck(StringCheck),
    /// Measures how alike two texts are.
    TextSimilarity(TextSimilarity),
    /// Asks a model for a number.
    ScoreModel(ScoreModel),
    /// Asks a model for a label.
    LabelModel(LabelModel),
    /// Runs the user's Python.
    Python(Python),
    /// Combines others by a formula; in grader runs only.
    Multi(Multi),
}

/// Compares two texts letter by letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StringCheck {
    /// For people.
    pub name: String,
    /// A template: what is graded.
    pub input: String,
    /// A template: what it is compared with.
    pub reference: String,
    /// How.
    pub operation: Operation,
}

/// How two texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StringOperation)]
pub enum Operation {
    /// The input is the reference.
    Eq,
    /// The input is not the reference.
    Ne,
    /// The input contains the reference.
    Like,
    /// The input contains the reference, whatever the case of the letters.
    Ilike,
}

/// Measures how alike two texts are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextSimilarity {
    /// For people.
    pub name: String,
    /// A template: what is graded.
    pub input: String,
    /// A template: what it is compared with.
    pub reference: String,
    /// By which measure.
    pub evaluation_metric: Metric,
    /// The least score that passes. Required in an eval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_threshold: Option<f64>,
    /// The embeddings endpoint for `cosine`. Ours: OpenAI has one model for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<String>,
}

/// A measure of likeness, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SimilarityMetric)]
pub enum Metric {
    /// Cosine of the angle between two embeddings; the only one that goes below 0.
    Cosine,
    /// `WRatio` of `rapidfuzz`.
    FuzzyMatch,
    /// Sentence BLEU of `sacrebleu`.
    Bleu,
    /// Sentence GLEU of `nltk`.
    Gleu,
    /// METEOR of `nltk`, without WordNet.
    Meteor,
    /// F1 of words.
    #[serde(rename = "rouge_1")]
    Rouge1,
    /// F1 of pairs of words.
    #[serde(rename = "rouge_2")]
    Rouge2,
    /// F1 of 3 words in a row.
    #[serde(rename = "rouge_3")]
    Rouge3,
    /// F1 of 4 words in a row.
    #[serde(rename = "rouge_4")]
    Rouge4,
    /// F1 of 5 words in a row.
    #[serde(rename = "rouge_5")]
    Rouge5,
    /// F1 of the longest common subsequence.
    #[serde(rename = "rouge_l")]
    RougeL,
}

/// Asks a model for a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreModel {
    /// For people.
    pub name: String,
    /// The endpoint that judges.
    pub model: String,
    /// What it is told.
    pub input: Vec<Message>,
    /// Least and greatest score; `[0, 1]` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// The least score that passes; the middle of the range if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_threshold: Option<f64>,
    /// How the judge samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling_params: Option<SamplingParams>,
}

/// How a judge samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JudgeSampling)]
pub struct SamplingParams {
    /// Most tokens of the answer. The name has a second plural in OpenAI's reference; both are read.
    #[serde(default, alias = "max_completion_tokens", skip_serializing_if = "Option::is_none")]
    pub max_completions_tokens: Option<u64>,
    /// How much a reasoning model thinks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Kept, and not sent: the Responses API has no seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// From 0 to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
}

/// How much a reasoning model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningEffort {
    /// Not at all.
    None,
    /// Hardly.
    Minimal,
    /// A little.
    Low,
    /// As usual.
    Medium,
    /// Much.
    High,
    /// Very much.
    Xhigh,
    /// As much as it can.
    Max,
}

/// Asks a model for a label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelModel {
    /// For people.
    pub name: String,
    /// The endpoint that judges.
    pub model: String,
    /// What it is told.
    pub input: Vec<Message>,
    /// What it may answer.
    pub labels: Vec<String>,
    /// Which of them pass.
    pub passing_labels: Vec<String>,
}

/// Runs the user's Python: `def grade(sample, item) -> float`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PythonGrader)]
pub struct Python {
    /// For people.
    pub name: String,
    /// The program.
    pub source: String,
    /// Which packages it has around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_tag: Option<String>,
    /// The least score that passes; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_threshold: Option<f64>,
}

/// Combines others by a formula.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Multi {
    /// For people.
    pub name: String,
    /// What is combined.
    pub graders: Parts,
    /// The formula, over the names of its graders.
    pub calculate_output: String,
}

/// The graders of a [`Multi`]. OpenAI's guide has a map from names, its SDKs a single grader: both are read.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = MultiParts, no_recursion)]
pub enum Parts {
    /// One, under its own name.
    One(Box<Grader>),
    /// Several, under the names that the formula uses.
    Named(BTreeMap<String, Grader>),
}

impl Parts {
    /// Every part with the name that the formula uses, in the order of names.
    #[must_use]
    pub fn list(&self) -> Vec<(&str, &Grader)> {
        match self {
            Self::One(grader) => vec![(grader.name(), grader)],
            Self::Named(graders) => graders.iter().map(|(name, grader)| (name.as_str(), grader)).collect(),
        }
    }
}

impl Grader {
    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::StringCheck(grader) => &grader.name,
            Self::TextSimilarity(grader) => &grader.name,
            Self::ScoreModel(grader) => &grader.name,
            Self::LabelModel(grader) => &grader.name,
            Self::Python(grader) => &grader.name,
            Self::Multi(grader) => &grader.name,
        }
    }

    /// Its type, as JSON has it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::StringCheck(_) => "string_check",
            Self::TextSimilarity(_) => "text_similarity",
            Self::ScoreModel(_) => "score_model",
            Self::LabelModel(_) => "label_model",
            Self::Python(_) => "python",
            Self::Multi(_) => "multi",
        }
    }

    /// The endpoints that it asks: what a run's derived key must be good for.
    #[must_use]
    pub fn models(&self) -> Vec<&str> {
        match self {
            Self::ScoreModel(grader) => vec![&grader.model],
            Self::LabelModel(grader) => vec![&grader.model],
            Self::TextSimilarity(grader) => grader.embedding_model.as_deref().into_iter().collect(),
            Self::Multi(grader) => {
                grader.graders.list().into_iter().flat_map(|(_, part)| part.models()).collect()
            }
            Self::StringCheck(_) | Self::Python(_) => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Grader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::grader(Value::deserialize(deserializer)?)
            .map_err(|refusal| D::Error::custom(refusal.to_string()))
    }
}
