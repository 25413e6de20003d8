//! What follows from the end of an attempt. Pure: the whole law of outcomes and retries is this one function.
//!
//! `passed`, `failed` and the limits are the subject's. What is ours is never scored, and never tried for ever: every
//! way in which an attempt can end is counted, and every count has an end.

use alphagate_contract::job::{Ending, LimitKind, Outcome, Report};
use std::time::Duration;

/// How often we may fail before a job is parked: lost runners, missing images, unreachable edges.
pub(crate) const LOSSES_MAX: u32 = 3;
/// How often a sandbox may die under user code on healthy hosts before that is the subject's doing.
pub(crate) const CRASHES_MAX: u32 = 2;
/// How often the edge may be too busy for a sample: with the backoff below, about two minutes.
pub(crate) const REFUSALS_MAX: u32 = 8;
/// Most re-runs of a failing outcome that a caller may ask for.
pub(crate) const RETRIES_MAX: u32 = 10;
/// The first backoff.
const BACKOFF_BASE: Duration = Duration::from_secs(1);
/// The longest backoff of our own.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The longest wait that an edge can ask for: an hour's quota.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// From then on the backoff no longer doubles.
const DOUBLINGS_MAX: u32 = 10;

/// What is known of a job when an attempt at it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Facts {
    /// Earlier failures of ours.
    pub(crate) losses: u32,
    /// Earlier answers of an edge that was too busy.
    pub(crate) refusals: u32,
    /// Earlier deaths of the sandbox under user code, on healthy hosts, since the last outcome.
    pub(crate) crashes: u32,
    /// Re-runs of failing outcomes that the caller asked for.
    pub(crate) retries: u32,
    /// How many of them were used.
    pub(crate) retried: u32,
    /// Whether somebody asked to cancel it.
    pub(crate) canceled: bool,
    /// A random number from 0 to 1.
    pub(crate) jitter: f64,
}

/// What is to be done with the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It has ended.
    Done(Outcome),
    /// It has ended because somebody wanted that.
    Canceled,
    /// It is tried again.
    Again {
        /// After how many milliseconds.
        after_ms: u64,
        /// What is counted.
        because: Because,
    },
    /// It is parked, where people see it and can drive it again.
    Dead {
        /// What happened too often.
        because: Because,
    },
}

/// Why a job is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Because {
    /// We failed.
    Loss,
    /// The edge was busy.
    Refusal,
    /// The sandbox died under user code.
    Crash,
    /// The outcome was not `passed`, and the caller wants another try.
    Retry,
}

/// What an attempt's end means.
enum Meaning {
    Outcome(Outcome),
    Crash,
    Loss { at_once: bool },
    Busy { retry_after: Duration },
}

/// What follows from an attempt that ended with this report.
pub(crate) fn after(facts: &Facts, report: &Report) -> Next {
    decide(facts, &meaning(report))
}

/// What follows from an attempt whose lease ran out.
pub(crate) fn after_lost_lease(facts: &Facts) -> Next {
    decide(facts, &Meaning::Loss { at_once: true })
}

fn meaning(report: &Report) -> Meaning {
    match &report.ending {
        Ending::Exited { code: 0 } => Meaning::Outcome(Outcome::Passed),
        Ending::Exited { .. } | Ending::Signaled { .. } => Meaning::Outcome(Outcome::Failed),
        Ending::Limited { limit } => Meaning::Outcome(of_limit(*limit)),
        Ending::Died { started: true, host_healthy: true, .. } => Meaning::Crash,
        Ending::Died { .. } | Ending::NotRun { .. } | Ending::Unanswered { .. } => {
            Meaning::Loss { at_once: false }
        }
        // A runner that drains has done nothing wrong, and another one may be free.
        Ending::Stopped => Meaning::Loss { at_once: true },
        Ending::Answered { status: 200..=299, .. } => Meaning::Outcome(Outcome::Passed),
        Ending::Answered { status: 408 | 429 | 500.., retry_after_ms, .. } => {
            let wanted = Duration::from_millis(retry_after_ms.unwrap_or(0));
            Meaning::Busy { retry_after: wanted.min(RETRY_AFTER_MAX) }
        }
        Ending::Answered { .. } => Meaning::Outcome(Outcome::Failed),
    }
}

/// The limits that end an attempt. Processes and disk are reported, but user code goes on without them.
const fn of_limit(limit: LimitKind) -> Outcome {
    match limit {
        LimitKind::Wall | LimitKind::Cpu => Outcome::Timeout,
        LimitKind::Memory => Outcome::Memory,
        LimitKind::Output => Outcome::Output,
        LimitKind::Pids | LimitKind::Disk => Outcome::Failed,
    }
}

fn decide(facts: &Facts, meaning: &Meaning) -> Next {
    if facts.canceled {
        return Next::Canceled;
    }
    match *meaning {
        Meaning::Outcome(Outcome::Passed) => Next::Done(Outcome::Passed),
        Meaning::Outcome(outcome) => subjects(facts, outcome),
        Meaning::Crash if facts.crashes + 1 >= CRASHES_MAX => subjects(facts, Outcome::Crashed),
        Meaning::Crash => again(facts, facts.crashes, Because::Crash),
        Meaning::Loss { .. } if facts.losses + 1 >= LOSSES_MAX => Next::Dead { because: Because::Loss },
        Meaning::Loss { at_once: true } if facts.losses == 0 => {
            Next::Again { after_ms: 0, because: Because::Loss }
        }
        Meaning::Loss { .. } => again(facts, facts.losses, Because::Loss),
        Meaning::Busy { .. } if facts.refusals + 1 >= REFUSALS_MAX => {
            Next::Dead { because: Because::Refusal }
        }
        Meaning::Busy { retry_after } => {
            let wait = backoff(facts.refusals, facts.jitter).max(retry_after);
            Next::Again { after_ms: ms(wait), because: Because::Refusal }
        }
    }
}

/// An outcome that is the subject's, and not `passed`.
fn subjects(facts: &Facts, outcome: Outcome) -> Next {
    if facts.retried < facts.retries.min(RETRIES_MAX) {
        return again(facts, facts.retried, Because::Retry);
    }
    Next::Done(outcome)
}

fn again(facts: &Facts, before: u32, because: Because) -> Next {
    Next::Again { after_ms: ms(backoff(before, facts.jitter)), because }
}

/// Exponential, with equal jitter: from half to the whole of the doubled base.
fn backoff(before: u32, jitter: f64) -> Duration {
    let whole = BACKOFF_BASE.saturating_mul(1 << before.min(DOUBLINGS_MAX)).min(BACKOFF_MAX);
    let jitter = if jitter.is_nan() { 1.0 } else { jitter.clamp(0.0, 1.0) };
    whole.mul_f64(0.5 + jitter / 2.0)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
