//! A runner at work: its parts, its loops, and how it leaves.
//!
//! Invariants: it always asks and never listens; when it has left, nothing of a job runs and nothing is held. The loops
//! share one task; each attempt has one of its own.

use crate::{
    board::Board,
    claim,
    client::Control,
    commands, drain,
    drain::{Departure, Orders},
    executor::Executor,
    lease::{self, Lease, TokenRefused},
    platform::Platform,
    transport::Transport,
};
use alphagate_contract::{
    job::{Kind, dispatch::Register},
    secret::Secret,
};
use std::{sync::Arc, time::Duration};

/// What a runner is made of.
pub struct Parts {
    /// Where control is, without a path.
    pub control_url: String,
    /// What it registers with.
    pub token: Secret<String>,
    /// Who it is and what it offers.
    pub offer: Register,
    /// Where samples are asked, if not where control says.
    pub edge_url: Option<String>,
    /// How long it may go on with what it holds when it is told to leave.
    pub drain_max: Duration,
    /// How it calls control and the edge.
    pub transport: Arc<dyn Transport>,
    /// How it runs sandboxes.
    pub executor: Arc<dyn Executor>,
    /// The machine.
    pub platform: Arc<dyn Platform>,
}

/// A runner.
pub struct Runner {
    pub(crate) control: Control,
    pub(crate) offer: Register,
    pub(crate) edge_url: Option<String>,
    pub(crate) drain_max: Duration,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) board: Board,
    pub(crate) lease: Lease,
}

impl Runner {
    /// Puts a runner together; nothing happens yet.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let control = Control::new(Arc::clone(&parts.transport), &parts.control_url, parts.token);
        Arc::new(Self {
            control,
            board: Board::new(parts.offer.slots),
            lease: Lease::new(),
            offer: parts.offer,
            edge_url: parts.edge_url,
            drain_max: parts.drain_max,
            transport: parts.transport,
            executor: parts.executor,
            platform: parts.platform,
        })
    }

    /// Works until it is told to leave, by `orders` or by control, and has left.
    ///
    /// # Errors
    /// When control does not accept the token at the first registration.
    pub async fn run(self: Arc<Self>, orders: Orders) -> Result<Departure, TokenRefused> {
        let loops = async {
            tokio::join!(
                lease::keep_renewing(&self),
                commands::keep_listening(&self),
                claim::keep_claiming(&self, Kind::Sandbox),
                claim::keep_claiming(&self, Kind::Sample),
            )
        };
        let departure = tokio::select! {
            biased;
            refused = lease::stay_registered(&self) => return Err(refused),
            departure = drain::until_gone(&self, &orders) => departure,
            _ = loops => Departure::AtOnce,
        };
        drain::goodbye(&self).await;
        Ok(departure)
    }
}
