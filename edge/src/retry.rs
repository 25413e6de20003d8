//! What follows from an attempt that brought no content: the same target again, another one, or the end.
//!
//! Pure: what is left of the time and the randomness are parameters. Invariant: what is the caller's fault is never tried
//! again, and no wait goes past the caller's deadline.

use crate::breaker::{Failure, OPEN_MAX_MS};

/// The first pause before a retry, milliseconds; it doubles with each. Shorter than a person notices.
const BACKOFF_MS: u64 = 100;
/// The longest pause that a provider's `retry-after` can ask for, milliseconds: beyond it, another target is asked. A caller
/// waits meanwhile, without a sign.
const RETRY_AFTER_MAX_MS: u64 = 2_000;

/// Why an attempt brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The provider answered with this status.
    Status {
        /// The status.
        status: u16,
        /// Its `retry-after`, milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It refused the connection, or reset it before the head of its answer.
    Unreachable,
    /// The head of its answer, or its first content, did not come in time.
    Timeout,
    /// It ended or broke off before any content.
    CutOff,
    /// It said itself that it had failed, before any content.
    Failed,
    /// It answered with something else than was asked for.
    NotAsAsked,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same target, after so many milliseconds.
    Again(u64),
    /// Another target, at once.
    Other,
    /// Nothing: it would be the same anywhere.
    Nothing,
}

impl Why {
    /// As one word, for headers and usage events.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Status { status, .. } => format!("status_{status}"),
            Self::Unreachable => "unreachable".into(),
            Self::Timeout => "timeout".into(),
            Self::CutOff => "cut_off".into(),
            Self::Failed => "failed".into(),
            Self::NotAsAsked => "not_as_asked".into(),
        }
    }

    /// What the target's breaker learns of it; none: the target is not to blame.
    #[must_use]
    pub const fn failure(self) -> Option<Failure> {
        match self {
            // A credential does not mend by itself.
            Self::Status { status: 401 | 403, .. } => Some(Failure::Lasting(OPEN_MAX_MS)),
            Self::Status { status: 429 | 500..=599, retry_after_ms: Some(ms) } => Some(Failure::Lasting(ms)),
            Self::Status { status: 400..=499, .. } if !self.is_targets() => None,
            _ => Some(Failure::Once),
        }
    }

    /// Whether another target may do better.
    const fn is_targets(self) -> bool {
        !matches!(self, Self::Status { status: 400 | 402 | 404..=407 | 409..=428 | 430..=499, .. })
    }

    /// What to do, if this target was asked again `retried` times before, may be `retries` times, and the caller waits for
    /// `left_ms` more. `random` is any number.
    #[must_use]
    pub fn next(self, retried: u8, retries: u8, left_ms: u64, random: u64) -> Next {
        if !self.is_targets() {
            return Next::Nothing;
        }
        if retried >= retries || !self.may_pass() {
            return Next::Other;
        }
        let wait_ms = match self {
            Self::Status { retry_after_ms: Some(ms), .. } => ms,
            _ => jittered(BACKOFF_MS << retried.min(8), random),
        };
        if wait_ms > RETRY_AFTER_MAX_MS || wait_ms >= left_ms { Next::Other } else { Next::Again(wait_ms) }
    }

    /// Whether the same target may do better a moment later. A timeout has cost the caller enough already.
    const fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Status { status: 408 | 429 | 500..=599, .. }
                | Self::Unreachable
                | Self::CutOff
                | Self::Failed
        )
    }
}

/// Between half of it and all of it: callers that failed together do not come back together.
const fn jittered(pause_ms: u64, random: u64) -> u64 {
    let half = pause_ms / 2;
    half + random % (pause_ms - half + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn status(status: u16) -> Why {
        Why::Status { status, retry_after_ms: None }
    }

    #[test]
    fn what_is_tried_again_where() {
        let again = |why: Why| matches!(why.next(0, 1, 60_000, 0), Next::Again(_));
        for why in
            [status(500), status(503), status(429), status(408), Why::Unreachable, Why::CutOff, Why::Failed]
        {
            assert!(again(why), "{why:?}");
            assert_eq!(why.next(1, 1, 60_000, 0), Next::Other, "{why:?}: its retries are used up");
            assert_eq!(why.next(0, 1, 10, 0), Next::Other, "{why:?}: the deadline is nearer");
        }
        for why in [status(401), status(403), status(302), Why::Timeout, Why::NotAsAsked] {
            assert_eq!(why.next(0, 3, 60_000, 0), Next::Other, "{why:?}");
        }
        for wrong in [400, 402, 404, 409, 413, 422, 451, 499] {
            assert_eq!(status(wrong).next(0, 3, 60_000, 0), Next::Nothing, "{wrong}");
            assert_eq!(status(wrong).failure(), None, "{wrong}");
        }
    }

    #[test]
    fn a_retry_after_is_waited_for_if_it_is_short() {
        let after = |ms| Why::Status { status: 429, retry_after_ms: Some(ms) };
        assert_eq!(after(1_000).next(0, 1, 60_000, 9), Next::Again(1_000));
        assert_eq!(after(1_000).next(0, 1, 900, 9), Next::Other);
        assert_eq!(after(3_000).next(0, 1, 60_000, 9), Next::Other);
        assert_eq!(after(3_000).failure(), Some(Failure::Lasting(3_000)));
        assert_eq!(status(429).failure(), Some(Failure::Once));
        assert_eq!(status(401).failure(), Some(Failure::Lasting(OPEN_MAX_MS)));
    }

    proptest! {
        #[test]
        fn pauses_grow_keep_their_bounds_and_never_pass_the_deadline(
            retried in 0..4u8, left_ms in 0..10_000u64, random in any::<u64>(), retry_after in prop::option::of(any::<u64>()),
        ) {
            let why = Why::Status { status: 503, retry_after_ms: retry_after };
            if let Next::Again(ms) = why.next(retried, 4, left_ms, random) {
                prop_assert!(ms < left_ms && ms <= RETRY_AFTER_MAX_MS);
                let longest = BACKOFF_MS << retried;
                prop_assert!(retry_after == Some(ms) || (longest / 2..=longest).contains(&ms));
            }
        }
    }
}
