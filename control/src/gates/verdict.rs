//! The verdict: what thresholds say of what a run has measured. A pure function.
//!
//! Invariants: errors of ours never decide: such an item counts neither for nor against the version. More items without
//! a verdict than the threshold allows, whosever fault they are, leave the question open; within it, those that are not
//! ours have not passed, so nobody gets rid of a hard item by breaking it. Only a run that is completed and has scored
//! something can pass or fail. A version that would fail is never called inconclusive for a score that is missing.

use crate::{error::Error, evals::RunStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most graders that thresholds name: an eval has a handful.
const MEAN_SCORES_MAX: usize = 32;
/// Counts beyond this are not exact as floating-point numbers, and no run has so many items.
const EXACT_MAX: i64 = 1 << 53;

/// What a gate demands of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thresholds {
    /// Least share of the items that pass, 0 to 1; errors of ours are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub(crate) pass_rate: Option<f64>,
    /// Least mean score by each of these graders.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) mean_score: BTreeMap<String, f64>,
    /// Most items that may be left without a verdict by errors.
    #[serde(default)]
    pub(crate) max_errors: u32,
}

/// What a run has measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    pub(crate) status: RunStatus,
    /// Items of each kind.
    pub(crate) passed: i64,
    pub(crate) failed: i64,
    pub(crate) errored: i64,
    /// Those of the errored that are the platform's fault.
    pub(crate) infrastructure: i64,
    pub(crate) total: i64,
    /// By the name of the grader.
    pub(crate) mean_scores: BTreeMap<String, f64>,
}

/// What a gate says of a version, as far as one of its evals goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It may go live.
    Passed,
    /// It must not; never without a reason.
    Failed {
        /// Each threshold that it missed.
        reasons: Vec<Reason>,
    },
    /// The run cannot say; nobody's fault but ours, or the run was stopped.
    Inconclusive {
        /// Why.
        reason: Reason,
    },
}

/// Why a verdict is what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = VerdictReason)]
pub(crate) enum Reason {
    /// Too few items passed.
    PassRate {
        /// The threshold.
        wanted: f64,
        /// The share.
        measured: f64,
    },
    /// A grader's scores are too low.
    MeanScore {
        /// Which one.
        grader: String,
        /// The threshold.
        wanted: f64,
        /// The mean.
        measured: f64,
    },
    /// No grader of the eval gives scores under this name.
    ScoreMissing {
        /// The name.
        grader: String,
    },
    /// Too many items have no verdict.
    Errors {
        /// The threshold.
        allowed: u32,
        /// Items without a verdict.
        errored: i64,
        /// Those that are the platform's fault.
        infrastructure: i64,
    },
    /// Nothing was scored at all.
    NothingScored,
    /// The run did not complete.
    RunEnded {
        /// How it ended.
        status: RunStatus,
    },
}

impl Thresholds {
    /// Refuses what no run could meet, or every run does. `path` leads to the thresholds in the request.
    pub(crate) fn check(&self, path: &str) -> Result<(), Error> {
        if self.pass_rate.is_none() && self.mean_score.is_empty() {
            return Err(Error::field(
                path,
                "`pass_rate` or `mean_score` must be given: else everything passes",
            ));
        }
        if self.pass_rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err(Error::field(format!("{path}.pass_rate"), "must be from 0 to 1"));
        }
        if self.mean_score.len() > MEAN_SCORES_MAX {
            let message = format!("at most {MEAN_SCORES_MAX} graders");
            return Err(Error::field(format!("{path}.mean_score"), message));
        }
        if self.mean_score.values().any(|least| !least.is_finite()) {
            return Err(Error::field(format!("{path}.mean_score"), "must be numbers"));
        }
        Ok(())
    }
}

/// What the thresholds say of a run that has ended.
pub(crate) fn verdict(measured: &Measured, thresholds: &Thresholds) -> Verdict {
    let open = |reason| Verdict::Inconclusive { reason };
    let scored = measured.passed.saturating_add(measured.failed);
    if measured.status != RunStatus::Completed {
        return open(Reason::RunEnded { status: measured.status });
    }
    // Items that are in no count are errors of ours, too.
    let errored = measured.errored.max(measured.total.saturating_sub(scored));
    let infrastructure = measured.infrastructure.max(errored.saturating_sub(measured.errored));
    if errored > i64::from(thresholds.max_errors) {
        return open(Reason::Errors { allowed: thresholds.max_errors, errored, infrastructure });
    }
    if scored <= 0 || measured.passed < 0 || measured.failed < 0 || scored > EXACT_MAX {
        return open(Reason::NothingScored);
    }
    let counted = scored + (errored - infrastructure).max(0);
    let mut reasons: Vec<Reason> = pass_rate(measured.passed, counted, thresholds).into_iter().collect();
    let mut missing = None;
    for (grader, wanted) in &thresholds.mean_score {
        let (grader, wanted) = (grader.clone(), *wanted);
        match measured.mean_scores.get(&grader).copied().filter(|mean| mean.is_finite()) {
            Some(mean) if mean >= wanted => {}
            Some(measured) => reasons.push(Reason::MeanScore { grader, wanted, measured }),
            None => missing = missing.or(Some(Reason::ScoreMissing { grader })),
        }
    }
    match (reasons.is_empty(), missing) {
        (false, _) => Verdict::Failed { reasons },
        (true, Some(reason)) => open(reason),
        (true, None) => Verdict::Passed,
    }
}

/// The missed pass rate. Both sides are rounded the same way, so 9 of 10 are 0.9, and not less.
fn pass_rate(passed: i64, counted: i64, thresholds: &Thresholds) -> Option<Reason> {
    let wanted = thresholds.pass_rate?;
    #[expect(clippy::cast_precision_loss, reason = "counts are about EXACT_MAX at most")]
    let measured = passed as f64 / counted as f64;
    (measured < wanted).then_some(Reason::PassRate { wanted, measured })
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
