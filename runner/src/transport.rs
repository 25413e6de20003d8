//! An HTTP call, as the loops see it: one request, one whole answer, bounded in time and in size.
//!
//! Invariants: a call never outlasts its timeout, and an answer longer than its bound is never held in memory. The
//! bearer is a secret type; nothing here prints it.

use alphagate_contract::secret::Secret;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::time::Duration;

/// Methods that the runner uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// POST, with a JSON body.
    Post,
    /// DELETE, without a body.
    Delete,
}

impl Method {
    /// Its name in HTTP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Who asks.
    pub bearer: Secret<String>,
    /// JSON, or nothing.
    pub body: Bytes,
    /// From the call to the end of the answer.
    pub timeout: Duration,
    /// Longest answer, bytes.
    pub answer_max_bytes: usize,
}

/// A whole answer, whatever its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `x-request-id`.
    pub request_id: Option<String>,
    /// `retry-after`, if it is a number of seconds, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The body.
    pub body: Bytes,
}

/// There was no whole answer: no connection, a broken one, too slow, or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// Something that makes calls.
pub trait Transport: Send + Sync + 'static {
    /// Makes one call, once. A future that is dropped gives up the call.
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, Unreachable>>;
}

/// Reads a header `retry-after` that is a number of seconds; a date is left out, as hosts' clocks differ.
#[must_use]
pub fn retry_after_ms(value: &str) -> Option<u64> {
    value.trim().parse::<u64>().ok()?.checked_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_nothing() {
        let rows = [
            ("7", Some(7_000)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("-1", None),
            ("99999999999999999999", None),
        ];
        for (value, ms) in rows {
            assert_eq!(retry_after_ms(value), ms, "{value}");
        }
    }
}
