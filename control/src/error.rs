//! The one error of this program, and how it becomes an answer.
//!
//! What a client reads is a [`Problem`] from the contract's catalogue; what went wrong inside is in the log, under the
//! same request id. Constraints of the database are told apart by name.

use alphagate_contract::problem::{Code, Problem};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sqlx::error::DatabaseError;

/// When a client may try again while the database is away: it comes back within seconds or not soon.
const STORE_RETRY_MS: u64 = 1_000;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The caller's doing, in the words of the catalogue.
    #[error("{}", .0.code.as_str())]
    Problem(Box<Problem>),
    /// The database's doing.
    #[error(transparent)]
    Store(#[from] sqlx::Error),
    /// A bug, or a state that cannot be.
    #[error("{0}")]
    Internal(String),
}

/// What a handler gives.
pub(crate) type Answer<T = Response> = Result<T, Error>;

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Code> for Error {
    fn from(code: Code) -> Self {
        Problem::new(code).into()
    }
}

impl Error {
    /// Something that cannot be; the text goes to the log only.
    pub(crate) fn internal(why: impl ToString) -> Self {
        Self::Internal(why.to_string())
    }

    /// A field of the body that cannot be accepted.
    pub(crate) fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        Problem::new(Code::Unprocessable).param(param).message(message).into()
    }

    /// Something else was first.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Problem::new(Code::Conflict).message(message).into()
    }

    /// What the client is told.
    fn problem(self) -> Problem {
        match self {
            Self::Problem(problem) => *problem,
            Self::Store(error) => store_problem(&error),
            Self::Internal(why) => {
                tracing::error!(why, "internal error");
                Problem::new(Code::Internal)
            }
        }
    }
}

/// Constraints that a request can break: name, code, field, message.
const CONSTRAINTS: &[(&str, Code, &str, &str)] = &[
    ("names_pkey", Code::Conflict, "name", "This name is taken by another endpoint or install of your org."),
    (
        "version_credentials_credential_fk",
        Code::Conflict,
        "credential",
        "The credential is used by a version. Withdraw its endpoint first, or replace the secret.",
    ),
    ("policies_name_unique", Code::Conflict, "name", "This name is taken by another policy of your org."),
    (
        "version_policies_revision_fk",
        Code::Conflict,
        "id",
        "The policy is referred to by a version that can be served. Withdraw its endpoint first.",
    ),
    (
        "installs_credential_fk",
        Code::Conflict,
        "credential",
        "The credential is used by an install. Delete the install first, or replace the secret.",
    ),
    (
        "eval_run_feeds_file_fk",
        Code::Conflict,
        "id",
        "A run has yet to read lines of this file. Cancel the run, or wait until all of its items have begun.",
    ),
    ("jobs_run_at_near", Code::Unprocessable, "run_at", "must lie within the next ten years"),
    ("publications_version_fk", Code::Unprocessable, "version", "this endpoint has no such version"),
    (
        "publications_one_running",
        Code::Conflict,
        "version",
        "Another publication of this endpoint is running.",
    ),
    (
        "gate_evals_eval_fk",
        Code::Conflict,
        "eval",
        "The eval is demanded by the gate of an endpoint. Take it out of the gate first.",
    ),
    (
        "gate_evals_file_fk",
        Code::Conflict,
        "file",
        "The file is read by the gate of an endpoint. Take it out of the gate first.",
    ),
    (
        "invitations_one_open",
        Code::Conflict,
        "email",
        "Somebody else has invited this address at this moment. List the invitations.",
    ),
    ("keys_expiry_after_creation", Code::Unprocessable, "expires_at", "must lie in the future"),
    (
        "endpoints_paid_is_limited",
        Code::Unprocessable,
        "installs.limits",
        "at least one limit is needed where the publisher pays, and for as long as such installs may exist",
    ),
];

fn store_problem(error: &sqlx::Error) -> Problem {
    if let sqlx::Error::Database(inside) = error {
        if let Some(problem) = constraint_problem(inside.as_ref()) {
            return problem;
        }
        if !is_outage(inside.as_ref()) {
            tracing::error!(%error, "the database refused a statement");
            return Problem::new(Code::Internal);
        }
    } else if !matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
    ) {
        tracing::error!(%error, "a statement failed");
        return Problem::new(Code::Internal);
    }
    tracing::warn!(%error, "the database is unavailable");
    Problem::new(Code::StoreUnavailable).retry_after_ms(STORE_RETRY_MS)
}

fn constraint_problem(error: &dyn DatabaseError) -> Option<Problem> {
    let name = error.constraint()?;
    let (_, code, param, message) = CONSTRAINTS.iter().find(|(known, ..)| *known == name)?;
    Some(Problem::new(*code).param(*param).message(*message))
}

/// Whether the same statement may succeed later: connection (08), resources (53), operator (57), rollback (40), locks.
fn is_outage(error: &dyn DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class))
        || matches!(&*code, "55P03" | "25006")
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        respond(&self.problem())
    }
}

/// The answer to a problem: status, headers and envelope.
pub(crate) fn respond(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, json, problem.body()).into_response();
    if let (Some(ms), Some(s)) = (problem.retry_after_ms, problem.retry_after_s()) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(s));
        response.headers_mut().insert("retry-after-ms", HeaderValue::from(ms));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_database_is_503_with_a_time_to_come_back() {
        let response = Error::from(sqlx::Error::PoolTimedOut).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "1");
    }

    #[test]
    fn what_went_wrong_inside_is_not_told() {
        let response = Error::internal("secret detail").into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
