//! What a run that has ended says of its subject, and the status for it. Pure.
//!
//! The words and the rule are the gate's: errors of the platform never decide. An item without a verdict that is not
//! ours has not passed, so nobody gets rid of a hard item by breaking it.

use crate::exit;
use clap::Args;
use serde_json::Value;

/// What is demanded of a run.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Thresholds {
    /// Least share of the items that have to pass, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    pass_rate: f64,
    /// Most items that may be left without a verdict
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_errors: u64,
}

/// What a run says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed,
    /// There is no verdict.
    Inconclusive,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must be from 0 to 1".into()) }
}

impl Thresholds {
    /// The verdict on a run.
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 items")]
    pub(super) fn verdict(self, run: &Value) -> Verdict {
        let counts = &run["result_counts"];
        let count = |name: &str| counts[name].as_u64().unwrap_or_default();
        let (passed, failed, errored) = (count("passed"), count("failed"), count("errored"));
        let ours = run["alphagate"]["infrastructure"].as_u64().unwrap_or_default();
        let measured = passed + failed + errored.saturating_sub(ours);
        if run["status"] != "completed" || errored > self.max_errors || passed + failed == 0 {
            return Verdict::Inconclusive;
        }
        if passed as f64 >= self.pass_rate * measured as f64 { Verdict::Passed } else { Verdict::Failed }
    }
}

impl Verdict {
    /// The status to end with.
    pub(super) const fn status(self) -> u8 {
        match self {
            Self::Passed => exit::SUCCESS,
            Self::Failed => exit::VERDICT,
            Self::Inconclusive => exit::TROUBLE,
        }
    }

    /// Its word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_of_ours_decide_nothing_and_others_have_not_passed() {
        let demanded = |pass_rate, max_errors| Thresholds { pass_rate, max_errors };
        let run = |status: &str, passed: u64, failed: u64, errored: u64, ours: u64| {
            json!({"status": status, "alphagate": {"infrastructure": ours},
                "result_counts": {"passed": passed, "failed": failed, "errored": errored}})
        };
        let cases = [
            (demanded(1.0, 0), run("completed", 3, 0, 0, 0), Verdict::Passed),
            (demanded(1.0, 0), run("completed", 2, 1, 0, 0), Verdict::Failed),
            (demanded(0.6, 0), run("completed", 2, 1, 0, 0), Verdict::Passed),
            (demanded(1.0, 0), run("completed", 2, 0, 1, 1), Verdict::Inconclusive),
            (demanded(1.0, 1), run("completed", 2, 0, 1, 1), Verdict::Passed),
            (demanded(1.0, 1), run("completed", 2, 0, 1, 0), Verdict::Failed),
            (demanded(0.0, 9), run("completed", 0, 0, 3, 0), Verdict::Inconclusive),
            (demanded(0.0, 0), run("completed", 0, 3, 0, 0), Verdict::Passed),
            (demanded(1.0, 0), run("canceled", 3, 0, 0, 0), Verdict::Inconclusive),
            (demanded(1.0, 0), run("failed", 0, 0, 0, 0), Verdict::Inconclusive),
        ];
        for (thresholds, run, expected) in cases {
            assert_eq!(thresholds.verdict(&run), expected, "{thresholds:?} {run}");
        }
        for bad in ["-0.1", "1.1", "x", "NaN"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
