//! Asking for jobs: a held poll per kind of slot, so that waiting for the one kind never holds back the other.
//!
//! Invariant: nothing is asked for without a free slot, while the runner drains, or before a stale lease is renewed.

use crate::{attempt, backoff::Backoff, client::Failure, runner::Runner};
use alphagate_contract::job::{
    Kind,
    dispatch::{Claim, Slots},
};
use std::{sync::Arc, time::Duration};

/// Most jobs of one claim: their inputs lie in memory together, and other runners are there, too.
const CLAIM_JOBS_MAX: u32 = 8;
/// First wait after a failed claim.
const CLAIM_BASE: Duration = Duration::from_millis(100);
/// Longest wait between claims.
const CLAIM_LONGEST: Duration = Duration::from_secs(5);
/// Between an answer without jobs and the next claim: a control that does not hold the poll is not asked in a loop.
const EMPTY_PAUSE: Duration = Duration::from_millis(50);

/// Claims jobs of a kind and starts them, until the runner drains.
pub(crate) async fn keep_claiming(runner: &Arc<Runner>, kind: Kind) {
    tokio::select! {
        biased;
        // A poll that is given up may just have been answered; control gives that job to someone else after its lease.
        () = runner.board.draining() => {}
        () = claim_for_ever(runner, kind) => {}
    }
}

async fn claim_for_ever(runner: &Arc<Runner>, kind: Kind) {
    let mut backoff = Backoff::new(CLAIM_BASE, CLAIM_LONGEST);
    loop {
        let wanted = runner.board.wanted(kind).await.min(CLAIM_JOBS_MAX);
        runner.lease.fresh().await;
        let at = runner.lease.registered().await;
        match runner.control.claim(&at, &Claim { free: slots(kind, wanted) }).await {
            Ok(claims) => {
                backoff.reset();
                let is_empty = claims.jobs.is_empty();
                for (claimed, signals) in runner.board.take(claims.jobs) {
                    let work = attempt::run(Arc::clone(runner), claimed, signals);
                    runner.platform.spawn(Box::pin(work));
                }
                if is_empty {
                    tokio::time::sleep(EMPTY_PAUSE).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, ?kind, "nothing claimed, trying again");
                if error == Failure::RunnerUnknown {
                    runner.lease.forget(at.runner);
                }
                tokio::time::sleep(backoff.after_failure(runner.platform.random())).await;
            }
        }
    }
}

const fn slots(kind: Kind, free: u32) -> Slots {
    match kind {
        Kind::Sandbox => Slots { sandbox: free, sample: 0 },
        Kind::Sample => Slots { sandbox: 0, sample: free },
    }
}
