//! The lifecycle of one response stream: what is shown of its events, and how it ends when the provider does not.
//!
//! Invariant: an event is changed only if it carries a response object or an error; a stream that is given up
//! ends with `created` (if none came), `error`, `response.failed` and `[DONE]`.

use crate::{
    disguise::{Disguise, Usage},
    fault,
    json_splice::{Members, join},
    schemas, sse,
};
use alphagate_contract::{problem::Problem, usage::Outcome};
use alphagate_translate::schema::Schema;
use serde_json::{Value, json};
use std::rc::Rc;

/// What to do with an event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The event to send instead; none: as it came.
    pub text: Option<String>,
    /// Whether this event ends the response.
    pub terminal: bool,
    /// Whether the event could be read to its end.
    pub whole: bool,
    /// The type that its data say.
    pub kind: Option<String>,
}

impl Shown {
    const fn as_it_came(whole: bool) -> Self {
        Self { text: None, terminal: false, whole, kind: None }
    }
}

/// The state of one stream.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    disguise: Disguise,
    fallback_id: String,
    created_s: u64,
    response: Option<Value>,
    sequence: Option<u64>,
    errored: bool,
    no_illness: bool,
    schema: Option<Rc<Schema>>,
    ended: Option<(Outcome, Option<Usage>)>,
}

impl Lifecycle {
    /// A stream that begins at `created_s` (Unix seconds); `fallback_id` names the response if the provider never does.
    #[must_use]
    pub const fn new(disguise: Disguise, fallback_id: String, created_s: u64) -> Self {
        Self {
            disguise,
            fallback_id,
            created_s,
            response: None,
            sequence: None,
            errored: false,
            no_illness: false,
            schema: None,
            ended: None,
        }
    }

    /// How the provider ended the response, and what it used.
    #[must_use]
    pub const fn ended(&self) -> Option<(Outcome, Option<Usage>)> {
        self.ended
    }

    /// Checks the completed response against this schema.
    #[must_use]
    pub fn checked(self, schema: Option<Rc<Schema>>) -> Self {
        Self { schema, ..self }
    }

    /// Whether the failure says nothing of the target's health: what was asked was wrong, or what was generated violates the
    /// schema.
    #[must_use]
    pub const fn is_no_illness(&self) -> bool {
        self.no_illness
    }

    /// Looks at one event.
    pub fn show(&mut self, event: &[u8]) -> Shown {
        let Ok(event) = std::str::from_utf8(event) else { return Shown::as_it_came(false) };
        let Some(data) = sse::data(event) else { return Shown::as_it_came(true) };
        if data == "[DONE]" {
            return Shown::as_it_came(true);
        }
        let Ok(members) = Members::read(data.as_bytes()) else { return Shown::as_it_came(false) };
        if let Some(number) = members.get("sequence_number").and_then(|text| text.parse().ok()) {
            self.sequence = self.sequence.max(Some(number));
        }
        let kind = members.get("type").and_then(|text| serde_json::from_str::<String>(text).ok());
        let shown = match (kind.as_deref(), members.get("response")) {
            (Some("error"), _) => self.show_error(event, &members, &data),
            (Some(kind), Some(response)) if response.starts_with('{') => {
                self.show_response(event, kind, &members, &data, response)
            }
            _ => Shown::as_it_came(true),
        };
        Shown { kind, ..shown }
    }

    fn show_response(
        &mut self,
        event: &str,
        kind: &str,
        members: &Members<'_>,
        data: &str,
        response: &str,
    ) -> Shown {
        let Ok(shown) = self.disguise.response_text(response.as_bytes()) else {
            return Shown::as_it_came(false);
        };
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let outcome = match kind {
            "response.completed" => Some(Outcome::Completed),
            "response.incomplete" => Some(Outcome::Incomplete),
            "response.failed" => Some(Outcome::Failed),
            _ => None,
        };
        if outcome == Some(Outcome::Failed) {
            self.no_illness |= fault::of_response(response.as_bytes());
        }
        match outcome {
            Some(outcome) => self.ended = Some((outcome, Usage::read(response.as_bytes()))),
            None => self.response = serde_json::from_str(&shown).ok(),
        }
        if outcome == Some(Outcome::Completed)
            && let Some(problem) = self.violation(response)
        {
            return self.show_violation(&shown, &problem);
        }
        let pieces = members.splice(&[("response", shown)]);
        let data = String::from_utf8_lossy(&join(data.as_bytes(), &pieces)).into_owned();
        Shown {
            text: Some(sse::with_data(event, &data)),
            terminal: outcome.is_some(),
            whole: true,
            kind: None,
        }
    }

    fn violation(&self, response: &str) -> Option<Problem> {
        let checked = schemas::check(self.schema.as_deref()?, response.as_bytes());
        checked.err().map(|(_, violation)| schemas::problem(&violation))
    }

    /// Instead of a completed response: the same one, failed. What it used counts.
    fn show_violation(&mut self, response: &str, problem: &Problem) -> Shown {
        let usage = Usage::read(response.as_bytes());
        self.ended = Some((Outcome::Failed, usage));
        self.no_illness = true;
        self.response = serde_json::from_str(response).ok();
        // The number of the event that is not shown is free.
        self.sequence = self.sequence.and_then(|last| last.checked_sub(1));
        Shown { text: Some(self.failure(problem)), terminal: true, whole: true, kind: None }
    }

    /// SDKs differ in where they look for an error, so it is sent in both places.
    fn show_error(&mut self, event: &str, members: &Members<'_>, data: &str) -> Shown {
        let Ok(given) = serde_json::from_str::<Value>(data) else { return Shown::as_it_came(false) };
        self.errored = true;
        self.no_illness |= fault::of_error(&given);
        let inner = given.get("error").filter(|error| error.is_object()).unwrap_or(&given);
        let text = |field: &str| inner.get(field).and_then(Value::as_str);
        let message = self.disguise.message(text("message").unwrap_or("The provider failed."));
        let code =
            inner.get("code").filter(|code| code.is_string()).cloned().unwrap_or(json!("upstream_error"));
        let kind = text("type").filter(|kind| *kind != "error").unwrap_or("server_error");
        let param = inner.get("param").cloned().unwrap_or(Value::Null);
        let error = json!({"type": kind, "code": code, "message": message, "param": param});
        let edits = [
            ("code", code.to_string()),
            ("message", Value::from(message).to_string()),
            ("param", param.to_string()),
            ("error", error.to_string()),
        ];
        let data = String::from_utf8_lossy(&join(data.as_bytes(), &members.splice(&edits))).into_owned();
        Shown { text: Some(sse::with_data(event, &data)), terminal: false, whole: true, kind: None }
    }

    /// The events that end a stream which the provider left without an end. `last_passed` are the last bytes that
    /// went by unread; their sequence number is continued.
    pub fn fail(&mut self, problem: &Problem, last_passed: &[u8]) -> String {
        self.sequence = self.sequence.max(last_sequence(last_passed));
        let tail = self.failure(problem);
        self.ended.get_or_insert((Outcome::Failed, None));
        tail + "data: [DONE]\n\n"
    }

    fn failure(&mut self, problem: &Problem) -> String {
        let mut out = String::new();
        if self.response.is_none() {
            let response = self.skeleton();
            out += &self.event("response.created", json!({"response": response}));
            self.response = Some(response);
        }
        if !self.errored {
            let error = problem.error_object();
            out += &self.event(
                "error",
                json!({
                    "code": error.code,
                    "message": error.message,
                    "param": error.param,
                    "error": {"type": error.kind, "code": error.code, "message": error.message, "param": error.param},
                }),
            );
        }
        let mut response = self.response.clone().unwrap_or_default();
        if let Some(response) = response.as_object_mut() {
            response.insert("status".into(), json!("failed"));
            let error = json!({"code": problem.code.as_str(), "message": problem.message});
            response.insert("error".into(), error);
        }
        out + &self.event("response.failed", json!({"response": response}))
    }

    fn event(&mut self, kind: &str, fields: Value) -> String {
        let number = self.sequence.map_or(0, |last| last + 1);
        self.sequence = Some(number);
        let mut data = json!({"type": kind, "sequence_number": number});
        if let (Some(data), Value::Object(fields)) = (data.as_object_mut(), fields) {
            data.extend(fields);
        }
        sse::event(kind, &data.to_string())
    }

    /// A response object with every required field of the protocol, before anything has happened.
    fn skeleton(&self) -> Value {
        json!({
            "id": self.fallback_id, "object": "response", "created_at": self.created_s, "completed_at": null,
            "status": "in_progress", "background": false, "error": null, "incomplete_details": null,
            "instructions": self.disguise.instructions, "max_output_tokens": null, "max_tool_calls": null,
            "model": self.disguise.model, "output": [], "parallel_tool_calls": true,
            "previous_response_id": null, "prompt_cache_key": null, "reasoning": {"effort": null, "summary": null},
            "safety_identifier": null, "service_tier": "default", "store": false, "temperature": 1.0,
            "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0,
            "presence_penalty": 0.0, "frequency_penalty": 0.0, "truncation": "disabled", "usage": null, "user": null, "metadata": {},
        })
    }
}

/// The last sequence number in passed events. Inside a JSON string the quotes would be escaped, so only a real
/// member is found.
fn last_sequence(passed: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(passed);
    let (_, rest) = text.rsplit_once("\"sequence_number\":")?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
