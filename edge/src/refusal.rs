//! What a provider's answer means that is none: its status and error body, in any protocol.
//!
//! Pure. Invariant: a refusal never shows the credential, the provider's model or the publisher's instructions.

use crate::{disguise::Disguise, proxy};
use alphagate_contract::problem::{Code, Problem};
use alphagate_translate::{fact::ErrorKind, gemini, protocol::Protocol};

/// What a refusal means.
#[derive(Debug, PartialEq)]
pub struct Refused {
    /// The status that says best what it was: some providers say 400 of a credential.
    pub status: u16,
    /// After how many milliseconds the provider wants to be asked again.
    pub retry_after_ms: Option<u64>,
    /// What the caller reads.
    pub problem: Problem,
}

/// Reads a refusal. `retry_after_ms` is the header's; `protocol` is none for a target that speaks Responses.
#[must_use]
pub fn read(
    protocol: Option<Protocol>,
    status: u16,
    body: &[u8],
    retry_after_ms: Option<u64>,
    disguise: &Disguise,
) -> Refused {
    let Some(protocol) = protocol.filter(|_| status >= 400) else {
        return Refused {
            status,
            retry_after_ms,
            problem: proxy::refusal(status, body, retry_after_ms, disguise),
        };
    };
    let error = protocol.error(status, body);
    let retry_after_ms =
        retry_after_ms.or_else(|| gemini::retry_delay_ms(body).filter(|_| protocol == Protocol::Gemini));
    let (status, problem) = match error.kind {
        ErrorKind::InvalidRequest => (status, rejected(&error.message, disguise)),
        ErrorKind::NotFound => (404, rejected(&error.message, disguise)),
        ErrorKind::Credential => (401, Code::UpstreamAuth.into()),
        ErrorKind::TooManyRequests => (429, Code::UpstreamRateLimited.into()),
        ErrorKind::Server | ErrorKind::Model => match status {
            408 | 504 => (status, Code::UpstreamTimeout.into()),
            503 | 529 => (status, Code::UpstreamOverloaded.into()),
            500..=599 => (status, Code::UpstreamError.into()),
            _ => (500, Code::UpstreamError.into()),
        },
    };
    let mut problem: Problem = problem;
    if problem.code.retryable() {
        problem.retry_after_ms = retry_after_ms;
    }
    Refused { status, retry_after_ms, problem }
}

fn rejected(message: &str, disguise: &Disguise) -> Problem {
    let problem = Problem::new(Code::UpstreamRejected);
    if message.is_empty() { problem } else { problem.message(disguise.message(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn disguise() -> Disguise {
        Disguise {
            model: "poet".into(),
            provider_model: "claude-x".into(),
            instructions: Value::Null,
            hidden_instructions: None,
            defaults: vec![],
        }
    }

    #[test]
    fn every_protocols_refusals_become_ours() {
        let anthropic =
            |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "claude-x: no"}});
        let gemini = |status: &str| json!({"error": {"code": 400, "status": status, "message": "no"}});
        let chat = json!({"error": {"message": "no", "type": "x", "code": null}});
        let cases = [
            (Protocol::Anthropic, 400, anthropic("invalid_request_error"), 400, Code::UpstreamRejected),
            (Protocol::Anthropic, 529, anthropic("overloaded_error"), 529, Code::UpstreamOverloaded),
            (Protocol::Anthropic, 429, anthropic("rate_limit_error"), 429, Code::UpstreamRateLimited),
            (Protocol::Anthropic, 401, anthropic("authentication_error"), 401, Code::UpstreamAuth),
            (Protocol::Gemini, 400, gemini("INVALID_ARGUMENT"), 400, Code::UpstreamRejected),
            (Protocol::Gemini, 503, gemini("UNAVAILABLE"), 503, Code::UpstreamOverloaded),
            (Protocol::Chat, 500, chat.clone(), 500, Code::UpstreamError),
            (Protocol::Chat, 404, chat, 404, Code::UpstreamRejected),
        ];
        for (protocol, status, body, meant, code) in cases {
            let refused = read(Some(protocol), status, body.to_string().as_bytes(), None, &disguise());
            assert_eq!((refused.status, refused.problem.code), (meant, code), "{protocol:?} {status}");
            assert!(!refused.problem.message.contains("claude-x"), "{}", refused.problem.message);
        }
    }

    #[test]
    fn the_time_to_wait_is_the_headers_or_in_geminis_body() {
        let body = json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m", "details":
            [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}]}});
        let read =
            |protocol, header| read(Some(protocol), 429, body.to_string().as_bytes(), header, &disguise());
        assert_eq!(read(Protocol::Gemini, None).problem.retry_after_ms, Some(1_500));
        assert_eq!(read(Protocol::Gemini, Some(7_000)).retry_after_ms, Some(7_000));
        assert_eq!(read(Protocol::Chat, Some(7_000)).problem.retry_after_ms, Some(7_000));
        assert_eq!(read(Protocol::Chat, None).problem.retry_after_ms, None);
    }
}
