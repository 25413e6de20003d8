//! How a runner leaves: it claims nothing more, finishes what it holds, and says goodbye; sooner or later, and if need
//! be at once.
//!
//! Invariant: leaving is bounded. Work that is not done in time is stopped and reported as stopped; told to leave at
//! once, the runner kills its sandboxes and reports nothing: control gives the jobs to others.

use crate::runner::Runner;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long stopped work may take to end and to be reported.
const STOPPING_MAX: Duration = Duration::from_secs(15);
/// How long killed sandboxes may take to be gone; the next start reaps what is left.
const KILLING_MAX: Duration = Duration::from_secs(5);
/// How long the goodbye may take; without it control waits for the leases to run out.
const GOODBYE_MAX: Duration = Duration::from_secs(3);

/// What can be asked of a runner from outside.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// Finish what is held, and leave.
    pub drain: CancellationToken,
    /// Leave at once.
    pub at_once: CancellationToken,
}

/// How it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Everything was finished.
    Drained,
    /// Some work was stopped.
    Stopped,
    /// Work was thrown away.
    AtOnce,
}

/// Waits until the runner is told to leave and holds nothing any more.
pub(crate) async fn until_gone(runner: &Runner, orders: &Orders) -> Departure {
    let departure = tokio::select! {
        biased;
        () = orders.at_once.cancelled() => None,
        departure = drained(runner, orders) => departure,
    };
    if let Some(departure) = departure {
        return departure;
    }
    runner.board.drain();
    runner.board.abandon_all();
    if timeout(KILLING_MAX, runner.board.emptied()).await.is_err() {
        tracing::error!("some sandboxes are not gone yet");
    }
    Departure::AtOnce
}

async fn drained(runner: &Runner, orders: &Orders) -> Option<Departure> {
    tokio::select! {
        biased;
        () = orders.drain.cancelled() => runner.board.drain(),
        () = runner.board.draining() => {}
    }
    tracing::info!(held = runner.board.held().len(), "draining");
    if timeout(runner.drain_max, runner.board.emptied()).await.is_ok() {
        return Some(Departure::Drained);
    }
    tracing::warn!(held = runner.board.held().len(), "draining takes too long: stopping what is left");
    runner.board.stop_all();
    let stopped = timeout(STOPPING_MAX, runner.board.emptied()).await;
    stopped.ok().map(|()| Departure::Stopped)
}

/// Tells control that this runner is gone.
pub(crate) async fn goodbye(runner: &Runner) {
    let Some(at) = runner.lease.registration() else { return };
    match timeout(GOODBYE_MAX, runner.control.goodbye(at.runner)).await {
        Ok(Ok(())) => tracing::info!("left"),
        Ok(Err(error)) => tracing::warn!(%error, "left without a goodbye"),
        Err(_) => tracing::warn!("left without a goodbye: control does not answer"),
    }
}
