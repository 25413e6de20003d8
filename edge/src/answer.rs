//! Answers with the headers that the SDKs look for.
//!
//! Invariant: every answer carries `x-request-id`; every error says by `x-should-retry` whether to call again; once a
//! provider was called, `x-ag-target` and `x-ag-attempts` say which target serves, and why no other does. A stream whose
//! status went out before that was known says what was known then.

use crate::visit::Visit;
use alphagate_contract::{
    problem::Problem,
    quota::{Amounts, Unit, book::Room},
};
use worker::{Headers, Request, Response, ResponseBody, Result};

/// Limits of the caller's quotas, for `x-ratelimit-*`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// The tightest quota on requests.
    pub requests: Option<Room>,
    /// The tightest quota on tokens.
    pub tokens: Option<Room>,
}

impl Limits {
    /// The limits once `taken` more is used. Which kind of tokens the tightest quota counts is not known here, so both
    /// kinds are.
    #[must_use]
    pub const fn after(self, taken: Amounts) -> Self {
        const fn less(room: Option<Room>, amount: u64) -> Option<Room> {
            match room {
                Some(room) => Some(Room { remaining: room.remaining.saturating_sub(amount), ..room }),
                None => None,
            }
        }
        Self {
            requests: less(self.requests, taken.requests),
            tokens: less(self.tokens, taken.of(Unit::TotalTokens)),
        }
    }
}

/// An error in the OpenAI envelope.
///
/// # Errors
/// When the platform refuses a header.
pub fn problem(problem: &Problem) -> Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("x-should-retry", if problem.code.retryable() { "true" } else { "false" })?;
    if let Some(seconds) = problem.retry_after_s() {
        headers.set("retry-after", &seconds.to_string())?;
    }
    let body = ResponseBody::Body(problem.body().into_bytes());
    Ok(Response::from_body(body)?.with_status(problem.code.status()).with_headers(headers))
}

/// A JSON answer.
///
/// # Errors
/// When the platform refuses a header.
pub fn json(body: Vec<u8>) -> Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    Ok(Response::from_body(ResponseBody::Body(body))?.with_headers(headers))
}

/// Headers of an event stream; `no-transform` keeps what is on the way from buffering or compressing it.
///
/// # Errors
/// When the platform refuses a header.
pub fn event_stream_headers() -> Result<Headers> {
    let headers = Headers::new();
    headers.set("content-type", "text/event-stream; charset=utf-8")?;
    headers.set("cache-control", "no-cache, no-transform")?;
    headers.set("x-accel-buffering", "no")?;
    Ok(headers)
}

/// Adds `x-ratelimit-*`, in the units that OpenAI uses (resets as `1s` or `20ms`).
///
/// # Errors
/// When the platform refuses a header.
pub fn add_limits(headers: &Headers, limits: &Limits) -> Result<()> {
    for (kind, room) in [("requests", limits.requests), ("tokens", limits.tokens)] {
        let Some(room) = room else { continue };
        headers.set(&format!("x-ratelimit-limit-{kind}"), &room.limit.to_string())?;
        headers.set(&format!("x-ratelimit-remaining-{kind}"), &room.remaining.to_string())?;
        headers.set(&format!("x-ratelimit-reset-{kind}"), &format!("{}ms", room.reset_ms))?;
    }
    Ok(())
}

/// What every answer of a visit carries.
///
/// # Errors
/// When the platform refuses a header.
pub fn finish(visit: &Visit, origin: Option<&str>, mut response: Response) -> Result<Response> {
    let headers = response.headers_mut();
    headers.set("x-request-id", &visit.id.to_string())?;
    headers.set("openai-processing-ms", &visit.elapsed_ms().to_string())?;
    if let Some(asked) = &*visit.asked.borrow() {
        headers.set("x-ag-attempts", &asked.attempts)?;
        if let Some(target) = asked.serving {
            headers.set("x-ag-target", &target.to_string())?;
        }
    }
    add_cors(visit, origin, headers)?;
    Ok(response)
}

fn add_cors(visit: &Visit, origin: Option<&str>, headers: &Headers) -> Result<()> {
    let Some(allowed) = allowed_origin(&visit.settings.cors_origins, origin) else { return Ok(()) };
    headers.set("access-control-allow-origin", &allowed)?;
    headers.set("access-control-expose-headers", "*")?;
    headers.append("vary", "origin")
}

/// The answer to a browser's preflight; an origin that is not allowed gets no CORS headers.
///
/// # Errors
/// When the platform refuses a header.
pub fn preflight(visit: &Visit, request: &Request) -> Result<Response> {
    let headers = Headers::new();
    let origin = request.headers().get("origin")?;
    if allowed_origin(&visit.settings.cors_origins, origin.as_deref()).is_some() {
        let asked = request.headers().get("access-control-request-headers")?;
        headers.set("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
        headers
            .set("access-control-allow-headers", asked.as_deref().unwrap_or("authorization, content-type"))?;
        headers.set("access-control-max-age", "86400")?;
    }
    Ok(Response::empty()?.with_status(204).with_headers(headers))
}

fn allowed_origin(allowed: &[String], origin: Option<&str>) -> Option<String> {
    let origin = origin?;
    allowed
        .iter()
        .find(|item| *item == "*" || *item == origin)
        .map(|item| if item == "*" { "*".to_owned() } else { origin.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::allowed_origin;

    #[test]
    fn origins_are_off_by_default_and_exact_otherwise() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        assert_eq!(allowed_origin(&[], Some("https://a")), None);
        assert_eq!(allowed_origin(&list(&["https://a"]), Some("https://a")), Some("https://a".into()));
        assert_eq!(allowed_origin(&list(&["https://a"]), Some("https://b")), None);
        assert_eq!(allowed_origin(&list(&["*"]), Some("https://b")), Some("*".into()));
        assert_eq!(allowed_origin(&list(&["*"]), None), None);
    }
}
