//! What the loops get from the machine besides time: tasks of their own, and chance.
//!
//! Time is tokio's monotonic clock throughout, which tests drive; no wall clock is ever read. The simulation has a
//! platform whose tasks it can freeze as SIGSTOP does.

use futures_util::future::BoxFuture;
use rand::Rng as _;

/// The machine, as far as the loops need one.
pub trait Platform: Send + Sync + 'static {
    /// Starts a task of its own.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Any number, for jitter; nothing secret comes of it.
    fn random(&self) -> u64;
}

/// The machine itself.
#[derive(Debug, Clone, Copy)]
pub struct Host;

impl Platform for Host {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn random(&self) -> u64 {
        rand::rng().next_u64()
    }
}
