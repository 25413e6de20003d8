//! The sample of an item: what the endpoint under test answered, as graders see it and as the API shows it.
//!
//! A sample with an `error` is no sample: nothing is graded, and it says whose fault that is.

use super::{sampling::Sampling, source::Ask};
use crate::graders;
use alphagate_contract::job::{Ending, Outcome, Report};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What went wrong with a sample, or with a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    /// For programs.
    pub(super) code: String,
    /// For people.
    pub(super) message: String,
    /// Whether the caller, the data or the subject can mend it; otherwise it is the platform's.
    pub(super) user_fault: bool,
}

impl Fault {
    pub(super) fn users(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), user_fault: true }
    }

    pub(super) fn ours(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), user_fault: false }
    }
}

/// Tokens of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) cached_tokens: i64,
    pub(super) total_tokens: i64,
}

impl Usage {
    /// Both together.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            total_tokens: self.total_tokens.saturating_add(other.total_tokens),
        }
    }

    /// Of an answer of the Responses API, or of embeddings.
    pub(super) fn of(answer: &Value) -> Self {
        let number = |paths: [&str; 2]| {
            let found = paths.iter().find_map(|path| answer.pointer(path).and_then(Value::as_i64));
            found.unwrap_or(0).max(0)
        };
        let prompt_tokens = number(["/usage/input_tokens", "/usage/prompt_tokens"]);
        let completion_tokens = number(["/usage/output_tokens", "/usage/completion_tokens"]);
        let total = number(["/usage/total_tokens", "/usage/total_tokens"]);
        Self {
            prompt_tokens,
            completion_tokens,
            cached_tokens: number(["/usage/input_tokens_details/cached_tokens", "/usage/cached_tokens"]),
            total_tokens: total.max(prompt_tokens.saturating_add(completion_tokens)),
        }
    }
}

/// What a job that asked an endpoint brought: the answer's body, or why there is none.
pub(super) fn answer(outcome: Option<Outcome>, report: Option<&Report>) -> Result<Value, Fault> {
    let body = report.and_then(|report| report.result.as_ref());
    let body: Option<Value> = body.and_then(|bytes| serde_json::from_slice(&bytes.0).ok());
    let told = |default: &str| {
        let error = body.as_ref().and_then(|body| body.get("error"));
        let field =
            |name: &str| error.and_then(|error| error.get(name)).and_then(Value::as_str).map(str::to_owned);
        (
            field("code").unwrap_or_else(|| "sample_refused".to_owned()),
            field("message").unwrap_or_else(|| default.to_owned()),
        )
    };
    match outcome {
        Some(Outcome::Passed) => {
            let failed = body
                .as_ref()
                .is_some_and(|body| body.get("status").and_then(Value::as_str) == Some("failed"));
            match body {
                // The endpoint began to answer, and its provider failed on the way.
                Some(_) if failed => {
                    let (code, message) = told("the model failed");
                    Err(Fault::ours(&code, message))
                }
                Some(body) => Ok(body),
                None => Err(Fault::ours("sample_unreadable", "the endpoint's answer is not JSON")),
            }
        }
        // The edge refused for good: an unknown name, a request too large, a quota.
        Some(Outcome::Failed) => {
            let (code, message) = told("the endpoint refused the request");
            Err(Fault::users(&code, message))
        }
        Some(Outcome::Timeout) => Err(Fault::users("sample_timeout", "the endpoint did not answer in time")),
        None => Err(Fault::ours("canceled", "the sample was canceled")),
        Some(_) => {
            let (_, message) = told(unanswered(report));
            Err(Fault::ours("sample_server_error", message))
        }
    }
}

fn unanswered(report: Option<&Report>) -> &str {
    match report.map(|report| &report.ending) {
        Some(Ending::Unanswered { message }) => message,
        _ => "the endpoint could not be asked",
    }
}

/// The sample of an answer.
pub(super) fn of_answer(ask: &Ask, input: &[Value], answer: &Value) -> Value {
    let mut sample = frame(ask, input);
    if let Value::Object(said) = graders::sample_of_response(answer) {
        sample.extend(said);
    }
    let text = sample.get("output_text").cloned();
    if let Some(model) = answer.get("model").filter(|model| model.is_string()) {
        sample.insert("model".into(), model.clone());
    }
    sample.insert("finish_reason".into(), finish_reason(answer, sample.contains_key("output_tools")).into());
    sample.insert("output".into(), json!([{"role": "assistant", "content": text}]));
    if let Some(refusal) = refusal(answer) {
        sample.insert("refusal".into(), refusal.into());
    }
    sample.insert("usage".into(), json!(Usage::of(answer)));
    Value::Object(sample)
}

/// What a judge answered.
pub(super) fn of_judge(model: &str, answer: &Value) -> Value {
    let said = graders::sample_of_response(answer);
    let reason = finish_reason(answer, said.get("output_tools").is_some());
    json!({"model": model, "output_text": said.get("output_text"), "finish_reason": reason, "usage": Usage::of(answer)})
}

/// The sample of an item that could not be sampled.
pub(super) fn of_fault(ask: &Ask, input: &[Value], fault: &Fault) -> Value {
    let mut sample = frame(ask, input);
    sample.insert("error".into(), json!(fault));
    Value::Object(sample)
}

/// What every sample of a run says of the question.
fn frame(ask: &Ask, input: &[Value]) -> Map<String, Value> {
    let Sampling { max_completion_tokens, temperature, top_p, seed, .. } = &ask.sampling;
    let frame = json!({
        "error": null, "finish_reason": "", "input": input.iter().map(shown_message).collect::<Vec<_>>(),
        "max_completion_tokens": max_completion_tokens, "model": ask.model, "output": [], "seed": seed,
        "temperature": temperature, "top_p": top_p, "usage": Usage::default(),
    });
    match frame {
        Value::Object(frame) => frame,
        _ => Map::new(),
    }
}

/// A message as the API shows it: its content is a text.
fn shown_message(message: &Value) -> Value {
    let content = message.get("content");
    let text = content
        .and_then(Value::as_str)
        .map_or_else(|| content.map(Value::to_string).unwrap_or_default(), str::to_owned);
    json!({"role": message.get("role"), "content": text})
}

/// Why an answer ended, in chat's words.
fn finish_reason(answer: &Value, calls: bool) -> &'static str {
    let why = answer.pointer("/incomplete_details/reason").and_then(Value::as_str);
    match (answer.get("status").and_then(Value::as_str), why) {
        (Some("incomplete"), Some("content_filter")) => "content_filter",
        (Some("incomplete"), _) => "length",
        _ if calls => "tool_calls",
        _ => "stop",
    }
}

/// What the model says instead of an answer.
fn refusal(answer: &Value) -> Option<&str> {
    let output = answer.get("output").and_then(Value::as_array)?;
    let mut parts = output.iter().filter_map(|item| item.get("content").and_then(Value::as_array)).flatten();
    parts.find_map(|part| part.get("refusal").and_then(Value::as_str))
}

/// A sample as graders see it: with the answer as JSON, and in chat's form.
pub(super) fn for_graders(sample: &Value) -> Value {
    let Value::Object(mut fields) = sample.clone() else { return sample.clone() };
    let text = fields.get("output_text").and_then(Value::as_str).map(str::to_owned);
    if let Some(text) = text {
        if let Value::Object(said) = graders::sample_of_text(&text) {
            for (name, value) in said {
                fields.entry(name).or_insert(value);
            }
        }
        if !fields.contains_key("choices") {
            let calls = fields
                .get("output_tools")
                .filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()));
            let mut message = json!({"role": "assistant", "content": text});
            if let (Some(calls), Some(message)) = (calls, message.as_object_mut()) {
                message.insert("tool_calls".into(), calls.clone());
            }
            let reason = fields.get("finish_reason").cloned().unwrap_or_else(|| "stop".into());
            fields
                .insert("choices".into(), json!([{"index": 0, "finish_reason": reason, "message": message}]));
        }
    }
    Value::Object(fields)
}

/// A sample as the API shows it: a sample that came with the data lacks what a question leaves behind.
pub(super) fn shown(sample: Value) -> Value {
    let Value::Object(mut fields) = sample else { return sample };
    let text = fields.get("output_text").and_then(Value::as_str).map(str::to_owned);
    let output =
        text.map(|text| json!([{"role": "assistant", "content": text}])).unwrap_or_else(|| json!([]));
    let defaults = [
        ("error", Value::Null),
        ("finish_reason", "".into()),
        ("input", json!([])),
        ("max_completion_tokens", Value::Null),
        ("model", "".into()),
        ("output", output),
        ("seed", Value::Null),
        ("temperature", Value::Null),
        ("top_p", Value::Null),
        ("usage", json!(Usage::default())),
    ];
    for (name, value) in defaults {
        fields.entry(name).or_insert(value);
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests;
