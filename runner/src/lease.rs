//! Who the runner is to control, and keeping that alive: registration, and renewal of everything that is held.
//!
//! Invariants: after a silence longer than the lease (a freeze, a partition) nothing is claimed before a renewal got
//! through; a runner that control no longer knows registers again and keeps its work until control says that it is lost.

use crate::{
    backoff::Backoff,
    client::{Control, Failure},
    runner::Runner,
    watched::Watched,
};
use alphagate_contract::{
    id::RunnerId,
    job::dispatch::{Register, Registered, Renew},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// First wait after a failed registration.
const REGISTER_BASE: Duration = Duration::from_millis(250);
/// Longest wait between registrations: a control that comes back is busy enough.
const REGISTER_LONGEST: Duration = Duration::from_secs(10);
/// First wait after a failed renewal; the longest is a third of the interval, so that a lease sees several tries.
const RENEW_BASE: Duration = Duration::from_millis(100);

/// The runner's standing with control.
#[derive(Debug)]
pub(crate) struct Lease {
    registration: Watched<Option<Arc<Registered>>>,
    /// When the last request that renewed was sent.
    renewed_at: Watched<Instant>,
}

impl Lease {
    pub(crate) fn new() -> Self {
        Self { registration: Watched::new(None), renewed_at: Watched::new(Instant::now()) }
    }

    /// The current registration; waits while there is none.
    pub(crate) async fn registered(&self) -> Arc<Registered> {
        self.registration.wait(Clone::clone).await
    }

    /// The current registration, if there is one.
    pub(crate) fn registration(&self) -> Option<Arc<Registered>> {
        self.registration.look(Clone::clone)
    }

    /// Control does not know this runner any more. Another registration meanwhile is left alone.
    pub(crate) fn forget(&self, runner: RunnerId) {
        self.registration.change(|current| current.take_if(|registered| registered.runner == runner));
    }

    /// Waits until the last renewal is younger than the lease.
    pub(crate) async fn fresh(&self) {
        let lease = Duration::from_millis(self.registered().await.lease_ms);
        self.renewed_at.wait_until(|renewed_at| renewed_at.elapsed() < lease).await;
    }

    fn renewed(&self, sent_at: Instant) {
        self.renewed_at.change(|renewed_at| *renewed_at = sent_at);
    }

    async fn unregistered(&self) {
        self.registration.wait_until(Option::is_none).await;
    }
}

/// The runner token is not accepted at the first registration: nothing that waiting mends.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TokenRefused(String);

/// Registers, and again whenever control does not know the runner any more.
pub(crate) async fn stay_registered(runner: &Runner) -> TokenRefused {
    let mut is_first = true;
    loop {
        runner.lease.unregistered().await;
        if let Err(refused) = register(runner, is_first).await {
            return refused;
        }
        is_first = false;
    }
}

async fn register(runner: &Runner, is_first: bool) -> Result<(), TokenRefused> {
    let mut backoff = Backoff::new(REGISTER_BASE, REGISTER_LONGEST);
    loop {
        let sent_at = Instant::now();
        match ask(&runner.control, &runner.offer).await {
            Ok(registered) => {
                tracing::info!(runner = %registered.runner, lease_ms = registered.lease_ms, "registered");
                runner.lease.renewed(sent_at);
                runner.lease.registration.change(|current| *current = Some(Arc::new(registered)));
                return Ok(());
            }
            Err(Failure::TokenRefused(why)) if is_first => return Err(TokenRefused(why)),
            Err(error) => tracing::warn!(%error, "not registered, trying again"),
        }
        tokio::time::sleep(backoff.after_failure(runner.platform.random())).await;
    }
}

async fn ask(control: &Control, offer: &Register) -> Result<Registered, Failure> {
    let registered = control.register(offer).await?;
    if registered.renew_ms == 0 || registered.lease_ms <= registered.renew_ms {
        return Err(Failure::Passing("control's lease is not longer than its interval".to_owned()));
    }
    Ok(registered)
}

/// Renews everything that is held, for ever.
pub(crate) async fn keep_renewing(runner: &Runner) {
    let mut backoff = Backoff::new(RENEW_BASE, RENEW_BASE);
    loop {
        let at = runner.lease.registered().await;
        let interval = Duration::from_millis(at.renew_ms);
        let due = runner.lease.renewed_at.look(|renewed_at| *renewed_at + interval);
        tokio::time::sleep_until(due).await;
        let sent_at = Instant::now();
        match runner.control.renew(&at, &Renew { held: runner.board.held() }).await {
            Ok(renewed) => {
                runner.lease.renewed(sent_at);
                runner.board.lose(&renewed.lost);
                backoff = Backoff::new(RENEW_BASE, interval / 3);
            }
            Err(error) => {
                tracing::warn!(%error, "not renewed, trying again");
                if error == Failure::RunnerUnknown {
                    runner.lease.forget(at.runner);
                }
                tokio::time::sleep(backoff.after_failure(runner.platform.random())).await;
            }
        }
    }
}
