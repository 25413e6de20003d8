//! A request of the Responses protocol: typed where an adapter acts on it.
//!
//! Invariant: every member of the caller's body is either in a typed field or in `other`, with its value as it came; a member
//! that is null is as one that is absent.

mod content;
mod input;
mod read;
mod tools;
pub(crate) mod write;

use crate::item::Item;
use serde_json::{Map, Value};

/// What a caller asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The provider's name of the model.
    pub model: String,
    /// The conversation; a plain string is one user message.
    pub input: Vec<Item>,
    /// What stands above the conversation.
    pub instructions: Option<String>,
    /// Function tools; others are refused when the request is read.
    pub tools: Vec<Tool>,
    /// Which tools the model may or must call.
    pub tool_choice: ToolChoice,
    /// Whether the model may call several tools at once; none: the provider's default.
    pub parallel_tool_calls: Option<bool>,
    /// `text.format`.
    pub format: Format,
    /// `text.verbosity`.
    pub verbosity: Option<String>,
    /// `reasoning.effort`: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`.
    pub effort: Option<String>,
    /// `reasoning.summary`: `auto`, `concise`, `detailed`.
    pub summary: Option<String>,
    /// Most tokens of the answer, thoughts included.
    pub max_output_tokens: Option<u64>,
    /// Temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// How many alternatives to tell for each token.
    pub top_logprobs: Option<u64>,
    /// What to include in the response, e.g. `reasoning.encrypted_content`, `message.output_text.logprobs`.
    pub include: Vec<String>,
    /// Whether the answer is wanted as events.
    pub stream: bool,
    /// All members that have no field of their own (`metadata`, `user`, `seed`, …), as they came.
    pub other: Map<String, Value>,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON schema of its arguments; none: no arguments.
    pub parameters: Option<Value>,
    /// Whether arguments must fit the schema; none: the provider's default.
    pub strict: Option<bool>,
}

/// Which tools may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This function.
    Function(String),
    /// These functions only: as the model likes, or at least one of them.
    Allowed {
        /// Whether one of them must be called.
        required: bool,
        /// The functions' names.
        names: Vec<String>,
    },
}

/// The form of the answer's text.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Format {
    /// Free.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: Value,
        /// Whether it must fit.
        strict: Option<bool>,
    },
}

#[cfg(test)]
pub(crate) mod tests;
