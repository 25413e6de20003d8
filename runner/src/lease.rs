//! Who the runner is to control, and keeping that alive: registration, and renewal of everything that is held.
//!
//! Invariants: after a silence longer than the lease (a freeze, a partition) nothing is claimed before a renewal got
//! through; a runner that control no longer knows registers again and keeps its work until control says that it is lost.

use crate::{
    backoff::Backoff,
    client::{Control, Failure},
    runner::Runner,
};
use alphagate_contract::{
    id::RunnerId,
    job::dispatch::{Register, Registered, Renew},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// First wait after a failed registration.
const REGISTER_BASE: Duration = Duration::from_millis(250);
/// Longest wait between registrations: a control that comes back is busy enough.
const REGISTER_LONGEST: Duration = Duration::from_secs(10);
/// First wait after a failed renewal; the longest is a third of the interval, so that a lease sees several tries.
const RENEW_BASE: Duration = Duration::from_millis(100);

/// The runner's standing with control.
#[derive(Debug)]
pub(crate) struct Lease {
    registration: watch::Sender<Option<Arc<Registered>>>,
    /// When the last request that renewed was sent.
    renewed_at: watch::Sender<Instant>,
}

impl Lease {
    pub(crate) fn new() -> Self {
        Self { registration: watch::Sender::new(None), renewed_at: watch::Sender::new(Instant::now()) }
    }

    /// The current registration; waits while there is none.
    pub(crate) async fn registered(&self) -> Arc<Registered> {
        let mut registrations = self.registration.subscribe();
        loop {
            if let Some(registered) = registrations.borrow_and_update().clone() {
                return registered;
            }
            // An error would mean that the sender is gone, and that is this lease.
            let _ = registrations.changed().await;
        }
    }

    /// The current registration, if there is one.
    pub(crate) fn registration(&self) -> Option<Arc<Registered>> {
        self.registration.borrow().clone()
    }

    /// Control does not know this runner any more. Another registration meanwhile is left alone.
    pub(crate) fn forget(&self, runner: RunnerId) {
        self.registration
            .send_if_modified(|current| current.take_if(|registered| registered.runner == runner).is_some());
    }

    /// Waits until the last renewal is younger than the lease.
    pub(crate) async fn fresh(&self) {
        let mut renewals = self.renewed_at.subscribe();
        loop {
            let lease_ms = self.registered().await.lease_ms;
            if renewals.borrow_and_update().elapsed() < Duration::from_millis(lease_ms) {
                return;
            }
            let _ = renewals.changed().await;
        }
    }

    fn renewed(&self, sent_at: Instant) {
        self.renewed_at.send_replace(sent_at);
    }

    async fn unregistered(&self) {
        let _ = self.registration.subscribe().wait_for(Option::is_none).await;
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
                runner.lease.registration.send_replace(Some(Arc::new(registered)));
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
        let due = *runner.lease.renewed_at.borrow() + interval;
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
