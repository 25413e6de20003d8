//! Calls providers: the only place that dials one.
//!
//! Invariant: only the headers named here leave, redirects are not followed, and a provider's refusal never shows
//! its credential, its model or the publisher's instructions.

use crate::{
    disguise::Disguise,
    json_splice::Piece,
    settings::{ANSWER_MAX_BYTES, Settings},
};
use alphagate_contract::{
    problem::{Code, Problem},
    secret::Secret,
};
use js_sys::{Array, Object, Reflect, Uint8Array};
use serde_json::Value;
use std::collections::BTreeMap;
use wasm_bindgen::prelude::*;
use worker::web_sys;

/// Largest body of a refusal, and of a moderation, that is read, bytes.
const SHORT_MAX_BYTES: u64 = 64 * 1024;
/// Longest time to read an error body, milliseconds.
const ERROR_DEADLINE_MS: u64 = 5_000;

#[wasm_bindgen(module = "/src/body.js")]
extern "C" {
    /// A share of the isolate's byte budget.
    #[derive(Clone, Debug)]
    pub type Lease;

    /// A share that ends by itself after `life_ms`.
    #[wasm_bindgen(constructor)]
    pub fn new(budget_bytes: f64, life_ms: f64) -> Lease;

    /// Grows the share to so many bytes; false when the budget does not allow it.
    #[wasm_bindgen(method)]
    pub fn grow(this: &Lease, bytes: f64) -> bool;

    /// Gives the share back.
    #[wasm_bindgen(method)]
    pub fn release(this: &Lease);

    #[wasm_bindgen(js_name = readAll, catch)]
    async fn read_all(
        message: &web_sys::Request,
        lease: &Lease,
        max_bytes: f64,
        declared: f64,
        deadline_ms: f64,
    ) -> Result<JsValue, JsValue>;
}

#[wasm_bindgen(module = "/src/proxy.js")]
extern "C" {
    /// One call to a provider.
    #[derive(Clone, Debug)]
    pub type Call;

    #[wasm_bindgen(constructor)]
    fn new(
        url: &str,
        headers: &Object,
        parts: &Array,
        lease: Option<&Lease>,
        caller: &web_sys::AbortSignal,
    ) -> Call;

    /// Whether the caller has left, which ends the call.
    #[wasm_bindgen(method, getter)]
    pub fn gone(this: &Call) -> bool;

    #[wasm_bindgen(method, catch)]
    async fn head(this: &Call, wait_ms: f64) -> Result<JsValue, JsValue>;

    /// A header of the answer.
    #[wasm_bindgen(method)]
    pub fn header(this: &Call, name: &str) -> Option<String>;

    #[wasm_bindgen(method, catch)]
    async fn bytes(this: &Call, lease: &Lease, max_bytes: f64, deadline_ms: f64) -> Result<JsValue, JsValue>;

    /// Ends the call.
    #[wasm_bindgen(method)]
    pub fn abort(this: &Call);

    #[wasm_bindgen(js_name = respond, catch)]
    fn respond_with(parts: &Array, headers: &Object) -> Result<web_sys::Response, JsValue>;
}

/// How a provider answered so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// With this status.
    Status(u16),
    /// Not at all: refused, reset, or not HTTP.
    Unreachable,
    /// Not yet.
    Silent,
}

/// Reads the caller's body; the bytes stay on the JavaScript side.
///
/// # Errors
/// 413, 408, 503 over the byte budget, or 400 when the caller left.
pub async fn read_body(
    settings: &Settings,
    request: &worker::Request,
    lease: &Lease,
) -> Result<Uint8Array, Problem> {
    let declared = request.headers().get("content-length").ok().flatten();
    let declared = match declared {
        Some(text) => text.parse::<u64>().map_err(|_| Code::RequestMalformed)? as f64,
        None => -1.0,
    };
    let (max, deadline) = (settings.body_max_bytes as f64, settings.body_deadline_ms as f64);
    let outcome = read_all(request.inner(), lease, max, declared, deadline)
        .await
        .map_err(|_| Code::RequestMalformed)?;
    outcome.dyn_into::<Uint8Array>().map_err(|word| match word.as_string().as_deref() {
        Some("too_large") => Problem::new(Code::BodyTooLarge)
            .message(format!("The request body is over the limit of {} bytes.", settings.body_max_bytes)),
        Some("busy") => Problem::new(Code::Overloaded).retry_after_ms(1_000),
        Some("slow") => Code::BodyTimeout.into(),
        _ => Code::RequestMalformed.into(),
    })
}

/// The parts of an edited body: views of the original and new text.
fn parts(original: &Uint8Array, pieces: &[Piece]) -> Array {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Kept(range) => original.subarray(range.start as u32, range.end as u32),
            Piece::New(text) => Uint8Array::from(text.as_bytes()),
        })
        .collect()
}

fn object(entries: &[(&str, &str)]) -> Object {
    let object = Object::new();
    for (name, value) in entries {
        // Setting a plain property of a fresh object cannot fail.
        let _ = Reflect::set(&object, &JsValue::from_str(name), &JsValue::from_str(value));
    }
    object
}

/// An answer made of an original and its edits.
///
/// # Errors
/// When the platform refuses.
pub fn respond(
    original: &Uint8Array,
    pieces: &[Piece],
    headers: &[(&str, &str)],
) -> Result<worker::Response, Problem> {
    let response = respond_with(&parts(original, pieces), &object(headers)).map_err(|_| Code::Internal)?;
    Ok(worker::Response::from(response))
}

/// What a call to a provider is made of, besides its body.
#[derive(Debug)]
pub struct Dial<'a> {
    /// Where to.
    pub url: &'a str,
    /// The credential, in the header in which its protocol wants it.
    pub credential: Option<(&'static str, Secret<String>)>,
    /// Headers of the target's protocol.
    pub protocol_headers: &'a [(&'static str, String)],
    /// The request's id, for the provider's logs.
    pub request_id: &'a str,
    /// Whether an event stream is wanted.
    pub stream: bool,
    /// The target's own headers, for a gateway before the provider.
    pub headers: &'a BTreeMap<String, String>,
    /// Aborted when the caller leaves, which ends the call.
    pub caller: &'a web_sys::AbortSignal,
    /// Given back once the provider has the body, if nobody else will need it.
    pub lease: Option<&'a Lease>,
}

/// Sends a request to a provider; its body is an edited original.
#[must_use]
pub fn dial(dial: &Dial<'_>, original: &Uint8Array, pieces: &[Piece]) -> Call {
    let mut headers: Vec<(&str, &str)> =
        dial.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.extend([
        ("content-type", "application/json"),
        ("accept", if dial.stream { "text/event-stream" } else { "application/json" }),
        ("accept-encoding", "identity"),
        ("user-agent", "alphagate"),
        ("x-request-id", dial.request_id),
    ]);
    headers.extend(dial.protocol_headers.iter().map(|(name, value)| (*name, value.as_str())));
    if let Some((name, secret)) = &dial.credential {
        headers.push((name, secret.reveal()));
    }
    Call::new(dial.url, &object(&headers), &parts(original, pieces), dial.lease, dial.caller)
}

impl Call {
    /// Waits for the answer's head, at most `wait_ms`.
    pub async fn wait_head(&self, wait_ms: u64) -> Head {
        match self.head(wait_ms as f64).await.ok().and_then(|status| status.as_f64()) {
            Some(status) if status >= 100.0 => Head::Status(status as u16),
            Some(status) if status < 0.0 => Head::Silent,
            _ => Head::Unreachable,
        }
    }

    /// Whether the answer is an event stream.
    #[must_use]
    pub fn is_event_stream(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The whole answer; it stays on the JavaScript side.
    ///
    /// # Errors
    /// 502 when it ends early or is too large, 504 when it takes too long, 503 over the byte budget.
    pub async fn whole(&self, lease: &Lease, deadline_ms: u64) -> Result<Uint8Array, Problem> {
        let outcome = self.bytes(lease, ANSWER_MAX_BYTES as f64, deadline_ms as f64).await;
        outcome.unwrap_or_default().dyn_into::<Uint8Array>().map_err(|word| {
            match word.as_string().as_deref() {
                Some("slow") => Code::UpstreamTimeout.into(),
                Some("busy") => Problem::new(Code::Overloaded).retry_after_ms(1_000),
                _ => Code::UpstreamIncomplete.into(),
            }
        })
    }

    /// The body of a provider's refusal, as far as it is read.
    pub async fn refusal(&self, settings: &Settings) -> Vec<u8> {
        self.short(settings, ERROR_DEADLINE_MS).await.unwrap_or_default()
    }

    /// The body of an answer that is short; none: it is not, or does not come in time.
    pub async fn short(&self, settings: &Settings, deadline_ms: u64) -> Option<Vec<u8>> {
        let lease = Lease::new(settings.buffer_budget_bytes as f64, (2 * deadline_ms) as f64);
        let body = self.bytes(&lease, SHORT_MAX_BYTES as f64, deadline_ms as f64).await.unwrap_or_default();
        let body = body.dyn_into::<Uint8Array>().map(|bytes| bytes.to_vec()).ok();
        lease.release();
        body
    }

    /// The answer's `retry-after`, milliseconds, where it is a number of seconds.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        let seconds = self.header("retry-after").and_then(|text| text.trim().parse::<u64>().ok())?;
        Some(seconds.saturating_mul(1_000))
    }
}

/// Maps a provider's status and error body.
#[must_use]
pub fn refusal(status: u16, body: &[u8], retry_after_ms: Option<u64>, disguise: &Disguise) -> Problem {
    let mut problem = match status {
        300..=399 => Problem::new(Code::UpstreamError)
            .message("The provider behind this endpoint answered with a redirect, which is not followed."),
        401 | 403 => Code::UpstreamAuth.into(),
        408 | 504 => Code::UpstreamTimeout.into(),
        429 => Code::UpstreamRateLimited.into(),
        503 => Code::UpstreamOverloaded.into(),
        400..=499 => rejected(body, disguise),
        _ => Code::UpstreamError.into(),
    };
    if problem.code.retryable() {
        problem.retry_after_ms = retry_after_ms;
    }
    problem
}

/// The provider says that the request itself is wrong; its words help the caller, minus what is not theirs to see.
fn rejected(body: &[u8], disguise: &Disguise) -> Problem {
    let problem = Problem::new(Code::UpstreamRejected);
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return problem };
    let error = body.get("error").unwrap_or(&body);
    let text = |field: &str| error.get(field).and_then(Value::as_str);
    let problem = match text("message") {
        Some(message) => problem.message(disguise.message(message)),
        None => problem,
    };
    match text("param") {
        Some(param) => problem.param(param),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disguise() -> Disguise {
        Disguise {
            model: "poet".into(),
            provider_model: "gpt-x".into(),
            instructions: Value::Null,
            hidden_instructions: None,
            defaults: vec![],
        }
    }

    #[test]
    fn a_providers_refusal_is_told_without_its_secrets() {
        let body = br#"{"error":{"message":"Incorrect API key provided: sk-123","param":null}}"#;
        let problem = refusal(401, body, None, &disguise());
        assert_eq!(problem.code, Code::UpstreamAuth);
        assert!(!problem.body().contains("sk-123"));
        let body = br#"{"error":{"message":"gpt-x cannot do that","param":"tools"}}"#;
        let problem = refusal(400, body, None, &disguise());
        assert_eq!(
            (problem.message.as_str(), problem.param.as_deref()),
            ("poet cannot do that", Some("tools"))
        );
    }

    #[test]
    fn statuses_keep_their_meaning_for_retries() {
        let cases = [
            (302, Code::UpstreamError),
            (404, Code::UpstreamRejected),
            (429, Code::UpstreamRateLimited),
            (500, Code::UpstreamError),
            (503, Code::UpstreamOverloaded),
            (504, Code::UpstreamTimeout),
            (204, Code::UpstreamError),
        ];
        for (status, code) in cases {
            assert_eq!(refusal(status, b"<html>", Some(7_000), &disguise()).code, code, "{status}");
        }
        assert_eq!(refusal(429, b"", Some(7_000), &disguise()).retry_after_s(), Some(7));
    }
}
