//! One attempt from its claim to its end: the work, its output, its report.
//!
//! Invariants: output is flushed before the report; a report is sent until control takes it, refuses it for good, or
//! says that the attempt is lost; a lost attempt ends its work and reports nothing; and the slot is free only when
//! nothing of it is left, whatever panicked on the way.

use crate::{
    backoff::Backoff,
    board::Signals,
    client::{self, Failure},
    runner::Runner,
    work,
};
use alphagate_contract::{
    id::RunnerId,
    job::{
        Ending, Report,
        dispatch::{Claimed, FINISH_MAX_BYTES, Finish, Held, Output},
    },
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tracing::Instrument as _;

/// First wait after a write that failed.
const WRITE_BASE: Duration = Duration::from_millis(100);
/// Longest wait between writes; well within a lease.
const WRITE_LONGEST: Duration = Duration::from_secs(5);

/// An attempt that is held.
pub(crate) struct Attempt {
    pub(crate) runner: Arc<Runner>,
    pub(crate) held: Held,
    pub(crate) signals: Signals,
}

/// Why an attempt's write is not tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Over {
    /// The attempt is nobody's, or someone else's.
    Lost,
    /// Control refuses this very write.
    Refused(String),
}

/// Does the work, reports, and frees the slot.
pub(crate) async fn run(runner: Arc<Runner>, claimed: Claimed, signals: Signals) {
    let held = Held { job: claimed.job, attempt: claimed.attempt };
    let span =
        tracing::info_span!("attempt", job = %held.job, attempt = %held.attempt, number = claimed.number);
    let attempt = Attempt { runner, held, signals };
    async {
        match AssertUnwindSafe(attempt.life(claimed)).catch_unwind().await {
            Ok(Ok(())) => tracing::debug!("finished"),
            Ok(Err(Over::Lost)) => tracing::info!("lost: thrown away"),
            Ok(Err(Over::Refused(why))) => tracing::error!(why, "control refuses every report: given up"),
            Err(_) => tracing::error!("the attempt's own task failed"),
        }
    }
    .instrument(span)
    .await;
    attempt.runner.board.leave(held.attempt);
}

impl Attempt {
    async fn life(&self, claimed: Claimed) -> Result<(), Over> {
        let work = AssertUnwindSafe(work::run(self, claimed.work)).catch_unwind().await;
        let report = match work {
            Ok(Ok(report)) => report,
            Ok(Err(Over::Refused(why))) => not_run("output_refused", why),
            Ok(Err(Over::Lost)) => return Err(Over::Lost),
            Err(_) => not_run("runner_failed", "the runner's own part failed".to_owned()),
        };
        tracing::debug!(ending = ?report.ending, "ended");
        match self.finish(report).await {
            Err(Over::Refused(why)) => {
                tracing::error!(why, "control refuses the report");
                self.finish(not_run("report_refused", why)).await
            }
            result => result,
        }
    }

    async fn finish(&self, report: Report) -> Result<(), Over> {
        let body = self.json(&Finish { held: self.held, report })?;
        if body.len() > FINISH_MAX_BYTES {
            return Err(Over::Refused(format!("{} bytes are too long for a report", body.len())));
        }
        let runner = &self.runner;
        self.insist(|id| runner.control.finish(id, body.clone())).await
    }

    /// Appends output.
    pub(crate) async fn append(&self, output: Output) -> Result<(), Over> {
        let body = self.json(&output)?;
        drop(output);
        let runner = &self.runner;
        self.insist(|id| runner.control.output(id, body.clone())).await
    }

    fn json(&self, message: &impl serde::Serialize) -> Result<Bytes, Over> {
        client::json(message).map_err(|error| Over::Refused(error.to_string()))
    }

    /// Repeats a write until control has decided on it.
    async fn insist<F>(&self, write: impl Fn(RunnerId) -> F) -> Result<(), Over>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let repeated = async {
            let mut backoff = Backoff::new(WRITE_BASE, WRITE_LONGEST);
            loop {
                let id = self.runner.lease.registered().await.runner;
                let Err(failure) = write(id).await else { return Ok(()) };
                match failure {
                    Failure::Superseded => {
                        self.runner.board.lose(&[self.held]);
                        return Err(Over::Lost);
                    }
                    Failure::Refused(why) => return Err(Over::Refused(why)),
                    Failure::RunnerUnknown => self.runner.lease.forget(id),
                    Failure::Passing(_) | Failure::TokenRefused(_) => {}
                }
                tracing::warn!(%failure, "not written, trying again");
                tokio::time::sleep(backoff.after_failure(self.runner.platform.random())).await;
            }
        };
        tokio::select! {
            biased;
            () = self.signals.lost.cancelled() => Err(Over::Lost),
            result = repeated => result,
        }
    }
}

/// The report of an attempt that gave no report of its own.
fn not_run(code: &str, message: String) -> Report {
    Report::of(Ending::NotRun { code: code.to_owned(), message })
}
