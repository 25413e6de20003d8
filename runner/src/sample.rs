//! A sample: a question to the edge, asked as any consumer asks, once.
//!
//! Invariants: the run's key goes into one header of one request and nowhere else; retries are control's; the answer is
//! whole or it is none.

use crate::transport::{Answer, Call, Method, Transport};
use alphagate_contract::{
    job::{Bytes, Ending, Report, SampleSpec, Used},
    secret::Secret,
};
use std::time::Duration;
use tokio::time::Instant;

/// Longest answer: 128,000 output tokens with log probabilities are far less, and in base64 it fits into a report.
pub const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Longest request id that is passed on; the edge's has 36 characters.
const REQUEST_ID_MAX_CHARS: usize = 128;
/// Longest text of an error that is passed on.
const MESSAGE_MAX_CHARS: usize = 500;

/// Asks the edge.
pub(crate) async fn ask(
    transport: &dyn Transport,
    edge_url: &str,
    spec: SampleSpec,
    key: Secret<String>,
) -> Report {
    let call = Call {
        method: Method::Post,
        url: format!("{}{}", edge_url.trim_end_matches('/'), spec.path),
        bearer: key,
        body: spec.body.to_string().into(),
        timeout: Duration::from_millis(spec.wall_ms),
        answer_max_bytes: ANSWER_MAX_BYTES,
    };
    drop(spec);
    let asked_at = Instant::now();
    let answer = transport.call(call).await;
    let wall_ms = u64::try_from(asked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
    let used = Used { wall_ms, ..Used::default() };
    match answer {
        Ok(answer) => answered(answer, used),
        Err(unreachable) => {
            let message = unreachable.0.chars().take(MESSAGE_MAX_CHARS).collect();
            Report { used, ..Report::of(Ending::Unanswered { message }) }
        }
    }
}

fn answered(answer: Answer, used: Used) -> Report {
    let Answer { status, request_id, retry_after_ms, body } = answer;
    let request_id = request_id.filter(|id| id.len() <= REQUEST_ID_MAX_CHARS);
    let ending = Ending::Answered { status, request_id, retry_after_ms };
    Report { used, result: Some(Bytes(body.into())), ..Report::of(ending) }
}
