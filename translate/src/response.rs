//! The response object: who it is, what it shows of the request, and how it ended.
//!
//! Invariant: every member that the specification requires is there, null where there is nothing to say.

use crate::{
    fact::{ErrorKind, ProviderError, Usage},
    request::{Request, write},
};
use serde_json::{Map, Value, json};

/// What is said of a failure when nothing more exact is known.
const FAILED: &str = "The provider behind this endpoint failed.";

/// Who a response is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id, e.g. `resp_…`; the ids of its items are derived from it.
    pub id: String,
    /// When it began, in Unix seconds.
    pub created_at_s: u64,
    /// The model's name as the caller knows it.
    pub model: String,
}

/// What a response shows of its request: a member each for what was asked, at its default if it was not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Echo(Map<String, Value>);

impl Echo {
    /// The request's own values.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let mut members = echo_of(request);
        for (name, default) in [
            ("background", json!(false)),
            ("frequency_penalty", json!(0.0)),
            ("max_tool_calls", Value::Null),
            ("metadata", json!({})),
            ("presence_penalty", json!(0.0)),
            ("previous_response_id", Value::Null),
            ("prompt_cache_key", Value::Null),
            ("safety_identifier", Value::Null),
            ("service_tier", json!("default")),
            ("store", json!(false)),
            ("truncation", json!("disabled")),
            ("user", Value::Null),
        ] {
            let asked = request.other.get(name).filter(|asked| !(name == "service_tier" && *asked == "auto"));
            members.insert(name.into(), asked.cloned().unwrap_or(default));
        }
        Self(members)
    }

    /// Shows another value of this member: of `instructions` that are not the caller's, for instance.
    #[must_use]
    pub fn showing(mut self, member: &str, value: Value) -> Self {
        self.0.insert(member.to_owned(), value);
        self
    }
}

fn echo_of(request: &Request) -> Map<String, Value> {
    let mut format = write::format(&request.format);
    if let Some(strict) = format.get_mut("strict").filter(|strict| strict.is_null()) {
        *strict = json!(false);
    }
    let mut text = Map::from_iter([("format".to_owned(), format)]);
    text.extend(request.verbosity.iter().map(|verbosity| ("verbosity".to_owned(), json!(verbosity))));
    let members = [
        ("instructions", json!(request.instructions)),
        ("max_output_tokens", json!(request.max_output_tokens)),
        ("parallel_tool_calls", json!(request.parallel_tool_calls.unwrap_or(true))),
        ("reasoning", json!({"effort": request.effort, "summary": request.summary})),
        ("temperature", json!(request.temperature.unwrap_or(1.0))),
        ("text", Value::Object(text)),
        ("tool_choice", write::choice(&request.tool_choice)),
        ("tools", request.tools.iter().map(write::tool).collect()),
        ("top_logprobs", json!(request.top_logprobs.unwrap_or(0))),
        ("top_p", json!(request.top_p.unwrap_or(1.0))),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Why a response failed, as its caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The error's type, e.g. `server_error`.
    pub kind: String,
    /// Its code, for programs.
    pub code: String,
    /// Its message, for people.
    pub message: String,
}

impl Failure {
    /// A failure of this type and code.
    pub fn new(kind: &str, code: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), code: code.into(), message: message.into() }
    }
}

impl From<&ProviderError> for Failure {
    fn from(error: &ProviderError) -> Self {
        let (kind, code) = match error.kind {
            ErrorKind::InvalidRequest => ("invalid_request_error", "upstream_rejected"),
            ErrorKind::Credential => ("server_error", "upstream_auth"),
            ErrorKind::NotFound => ("server_error", "endpoint_misconfigured"),
            ErrorKind::TooManyRequests => ("rate_limit_error", "upstream_rate_limited"),
            ErrorKind::Server => ("server_error", "upstream_error"),
            ErrorKind::Model => ("model_error", "upstream_error"),
        };
        let message = if error.message.is_empty() { FAILED } else { &error.message };
        Self::new(kind, code, message)
    }
}

/// How far a response is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Not at its end.
    InProgress,
    /// The model was done.
    Completed {
        /// When, in Unix seconds.
        at_s: u64,
    },
    /// The model was stopped.
    Incomplete {
        /// `max_output_tokens` or `content_filter`.
        reason: &'static str,
    },
    /// There is no answer, or not all of it.
    Failed(Failure),
}

impl Status {
    /// The status' name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed { .. } => "completed",
            Self::Incomplete { .. } => "incomplete",
            Self::Failed(_) => "failed",
        }
    }
}

/// The response object.
pub(crate) fn object(
    identity: &Identity,
    echo: &Echo,
    status: &Status,
    output: Vec<Value>,
    usage: Option<Usage>,
) -> Value {
    let (mut completed_at, mut incomplete, mut error) = (Value::Null, Value::Null, Value::Null);
    match status {
        Status::InProgress => {}
        Status::Completed { at_s } => completed_at = json!(at_s),
        Status::Incomplete { reason } => incomplete = json!({"reason": reason}),
        Status::Failed(failure) => error = json!({"code": failure.code, "message": failure.message}),
    }
    let mut response = echo.0.clone();
    for (name, value) in [
        ("id", json!(identity.id)),
        ("object", json!("response")),
        ("created_at", json!(identity.created_at_s)),
        ("completed_at", completed_at),
        ("status", json!(status.as_str())),
        ("model", json!(identity.model)),
        ("output", Value::Array(output)),
        ("incomplete_details", incomplete),
        ("error", error),
        ("usage", usage.map_or(Value::Null, usage_object)),
    ] {
        response.insert(name.to_owned(), value);
    }
    Value::Object(response)
}

fn usage_object(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens.saturating_add(usage.output_tokens),
    })
}
