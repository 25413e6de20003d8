//! Quiet for jobs that are just starting in a sandbox that waited: nothing is booted ahead meanwhile.
//!
//! A boot keeps every processor of a small host busy for longer than a waiting sandbox needs for a job's first output.
//! Invariant: a start ends with its guard, so nothing can hold boots back for ever.

use crate::watched::Watched;
use std::sync::Arc;

/// How many jobs are starting.
#[derive(Debug, Clone, Default)]
pub struct Quiet(Arc<Watched<usize>>);

/// One job that is starting, until this is dropped.
#[derive(Debug)]
pub struct Start(Arc<Watched<usize>>);

impl Quiet {
    /// A job starts.
    pub fn start(&self) -> Start {
        self.0.change(|starts| *starts += 1);
        Start(Arc::clone(&self.0))
    }

    /// Waits until no job is starting.
    pub async fn reached(&self) {
        self.0.wait_until(|starts| *starts == 0).await;
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        self.0.change(|starts| *starts -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_quiet_when_the_last_start_is_over() {
        let quiet = Quiet::default();
        quiet.reached().await;
        let (first, second) = (quiet.start(), quiet.start());
        let mut reached = Box::pin(quiet.reached());
        assert!(futures_util::poll!(reached.as_mut()).is_pending());
        drop(first);
        assert!(futures_util::poll!(reached.as_mut()).is_pending());
        drop(second);
        reached.await;
    }
}
