//! The runner's side of the wire: each route of `contract::job::dispatch` as a typed call, made once.
//!
//! Invariant: what an answer means for the caller is decided here and nowhere else: tried again, registered again,
//! dropped, or refused for good.

use crate::transport::{Answer, Call, Method, Transport, Unreachable};
use alphagate_contract::{
    id::RunnerId,
    job::{
        INPUT_MAX_BYTES,
        dispatch::{AskCommands, Claim, Claims, Commands, Register, Registered, Renew, Renewed},
    },
    problem::Code,
    secret::Secret,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};

/// Where runners are registered.
const RUNNERS_PATH: &str = "/runner/v1/runners";
/// A short question has a short answer, or control is in trouble.
const SHORT_TIMEOUT: Duration = Duration::from_secs(10);
/// A renewal is given up after a third of the interval, so that a lease sees half a dozen tries; but not sooner than this.
const RENEW_TIMEOUT_MIN: Duration = Duration::from_millis(500);
/// How much longer than promised a held poll may take: a busy control, a slow network.
const POLL_SLACK: Duration = Duration::from_secs(10);
/// A batch of output is 1.4 MB at most.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(20);
/// A report has 48 MiB at most: 7 Mbit/s.
const FINISH_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer of a short question: a list of attempts, or an error.
const SHORT_ANSWER_MAX_BYTES: usize = 1024 * 1024;
/// Longest answer per job claimed: its input in base64, arguments and variables of 16 MiB each.
const CLAIMED_MAX_BYTES: usize = INPUT_MAX_BYTES / 3 * 4 + 33 * 1024 * 1024;
/// Longest part of an error that goes into a log.
const EXCERPT_MAX_CHARS: usize = 300;

/// Why a call has not done what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The same call may succeed later.
    #[error("{0}")]
    Passing(String),
    /// Control does not know this runner any more.
    #[error("control does not know this runner")]
    RunnerUnknown,
    /// The attempt is over: someone else has the job, or it ended.
    #[error("the attempt is over")]
    Superseded,
    /// The runner token is not accepted.
    #[error("control does not accept the runner token: {0}")]
    TokenRefused(String),
    /// This request will never be accepted.
    #[error("control refuses the request: {0}")]
    Refused(String),
}

impl From<Unreachable> for Failure {
    fn from(unreachable: Unreachable) -> Self {
        Self::Passing(format!("control cannot be reached: {unreachable}"))
    }
}

/// Control, as a runner sees it.
pub(crate) struct Control {
    transport: Arc<dyn Transport>,
    url: String,
    token: Secret<String>,
}

impl Control {
    /// Control at a URL without a path.
    pub(crate) fn new(transport: Arc<dyn Transport>, url: &str, token: Secret<String>) -> Self {
        Self { transport, url: url.trim_end_matches('/').to_owned(), token }
    }

    pub(crate) async fn register(&self, register: &Register) -> Result<Registered, Failure> {
        self.ask(RUNNERS_PATH.to_owned(), json(register)?, SHORT_TIMEOUT, SHORT_ANSWER_MAX_BYTES).await
    }

    pub(crate) async fn goodbye(&self, runner: RunnerId) -> Result<(), Failure> {
        let path = format!("{RUNNERS_PATH}/{runner}");
        self.send(Method::Delete, path, Bytes::new(), SHORT_TIMEOUT, SHORT_ANSWER_MAX_BYTES).await.map(drop)
    }

    pub(crate) async fn claim(&self, at: &Registered, claim: &Claim) -> Result<Claims, Failure> {
        let jobs = claim.free.sandbox.saturating_add(claim.free.sample);
        let max_bytes = usize::try_from(jobs).unwrap_or(usize::MAX).saturating_mul(CLAIMED_MAX_BYTES);
        let path = path(at.runner, "claim");
        let answer = self.send(Method::Post, path, json(claim)?, poll_timeout(at), max_bytes).await?;
        if answer.body.is_empty() {
            return Ok(Claims { jobs: vec![] });
        }
        read(&answer)
    }

    pub(crate) async fn commands(&self, at: &Registered, ask: &AskCommands) -> Result<Commands, Failure> {
        let path = path(at.runner, "commands");
        let answer =
            self.send(Method::Post, path, json(ask)?, poll_timeout(at), SHORT_ANSWER_MAX_BYTES).await?;
        if answer.body.is_empty() { Ok(Commands::default()) } else { read(&answer) }
    }

    pub(crate) async fn renew(&self, at: &Registered, renew: &Renew) -> Result<Renewed, Failure> {
        let timeout = Duration::from_millis(at.renew_ms / 3).clamp(RENEW_TIMEOUT_MIN, SHORT_TIMEOUT);
        self.ask(path(at.runner, "renew"), json(renew)?, timeout, SHORT_ANSWER_MAX_BYTES).await
    }

    /// An `Output` as JSON.
    pub(crate) async fn output(&self, runner: RunnerId, output: Bytes) -> Result<(), Failure> {
        let path = path(runner, "output");
        self.send(Method::Post, path, output, OUTPUT_TIMEOUT, SHORT_ANSWER_MAX_BYTES).await.map(drop)
    }

    /// A `Finish` as JSON.
    pub(crate) async fn finish(&self, runner: RunnerId, finish: Bytes) -> Result<(), Failure> {
        let path = path(runner, "finish");
        self.send(Method::Post, path, finish, FINISH_TIMEOUT, SHORT_ANSWER_MAX_BYTES).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: String,
        body: Bytes,
        timeout: Duration,
        answer_max_bytes: usize,
    ) -> Result<T, Failure> {
        read(&self.send(Method::Post, path, body, timeout, answer_max_bytes).await?)
    }

    async fn send(
        &self,
        method: Method,
        path: String,
        body: Bytes,
        timeout: Duration,
        answer_max_bytes: usize,
    ) -> Result<Answer, Failure> {
        let url = format!("{}{path}", self.url);
        let bearer = self.token.clone();
        let answer =
            self.transport.call(Call { method, url, bearer, body, timeout, answer_max_bytes }).await?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(meaning(&answer)) }
    }
}

fn path(runner: RunnerId, verb: &str) -> String {
    format!("{RUNNERS_PATH}/{runner}/{verb}")
}

fn poll_timeout(at: &Registered) -> Duration {
    Duration::from_millis(at.poll_ms) + POLL_SLACK
}

/// A message as JSON.
pub(crate) fn json(message: &impl Serialize) -> Result<Bytes, Failure> {
    let text = serde_json::to_vec(message);
    text.map(Bytes::from).map_err(|error| Failure::Refused(format!("it cannot be written as JSON: {error}")))
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    // Control may be half-way through an upgrade, or something else answers in its place: that passes.
    serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::Passing(format!("control's answer cannot be read: {error}")))
}

/// What an answer that is no success means.
fn meaning(answer: &Answer) -> Failure {
    let text = excerpt(answer);
    match answer.status {
        401 | 403 => Failure::TokenRefused(text),
        409 => match code(&answer.body).as_deref() {
            Some(code) if code == Code::RunnerUnknown.as_str() => Failure::RunnerUnknown,
            Some(code) if code == Code::AttemptSuperseded.as_str() => Failure::Superseded,
            _ => Failure::Refused(text),
        },
        // A proxy without its control behind it says 404 or 405 as well as 502.
        404 | 405 | 408 | 425 | 429 => Failure::Passing(text),
        400..500 => Failure::Refused(text),
        _ => Failure::Passing(text),
    }
}

fn code(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Envelope {
        error: Inside,
    }
    #[derive(Deserialize)]
    struct Inside {
        code: String,
    }
    serde_json::from_slice::<Envelope>(body).ok().map(|envelope| envelope.error.code)
}

fn excerpt(answer: &Answer) -> String {
    let body: String = String::from_utf8_lossy(&answer.body).chars().take(EXCERPT_MAX_CHARS).collect();
    format!("{} {body}", answer.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::problem::Problem;

    fn answer(status: u16, body: String) -> Answer {
        Answer { status, body: body.into(), ..Answer::default() }
    }

    #[test]
    fn an_answers_meaning_is_its_status_and_for_409_its_code() {
        let meaning = |status, body: &str| meaning(&answer(status, body.to_owned()));
        let problem = |code: Code| super::meaning(&answer(code.status(), Problem::new(code).body()));
        assert_eq!(problem(Code::RunnerUnknown), Failure::RunnerUnknown);
        assert_eq!(problem(Code::AttemptSuperseded), Failure::Superseded);
        for status in [300, 302, 404, 405, 408, 429, 500, 502, 503, 504] {
            assert!(matches!(meaning(status, "<html>"), Failure::Passing(_)), "{status}");
        }
        for (status, body) in [(400, ""), (409, ""), (409, "{\"error\":{\"code\":\"conflict\"}}"), (413, "")]
        {
            assert!(matches!(meaning(status, body), Failure::Refused(_)), "{status} {body}");
        }
        assert!(matches!(meaning(401, ""), Failure::TokenRefused(_)));
    }

    #[test]
    fn what_is_not_control_is_tried_again() {
        let page = answer(200, "<html>".to_owned());
        assert!(matches!(read::<Registered>(&page), Err(Failure::Passing(_))));
    }

    #[test]
    fn an_excerpt_is_short_whatever_the_answer() {
        let long = answer(500, "€".repeat(100_000));
        assert!(excerpt(&long).chars().count() <= EXCERPT_MAX_CHARS + 4);
    }
}
