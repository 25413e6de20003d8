//! The one held poll by which control reaches a runner: stops, and the order to drain.
//!
//! Invariant: an answer that brings nothing new (a stop for an attempt whose claim is still on its way) is followed by a
//! short pause, never by a loop, and is asked for again, so that the stop arrives within that pause.

use crate::{backoff::Backoff, client::Failure, runner::Runner};
use std::time::Duration;
use tokio::time::Instant;

/// First wait after a failed poll.
const COMMANDS_BASE: Duration = Duration::from_millis(100);
/// Longest wait between polls: a stop is to arrive within two seconds of control's return.
const COMMANDS_LONGEST: Duration = Duration::from_secs(1);
/// After an answer that changed nothing and came at once.
const NOTHING_NEW_PAUSE: Duration = Duration::from_millis(250);

/// Asks for commands and does them, for ever.
pub(crate) async fn keep_listening(runner: &Runner) {
    let mut backoff = Backoff::new(COMMANDS_BASE, COMMANDS_LONGEST);
    loop {
        let at = runner.lease.registered().await;
        let asked_at = Instant::now();
        match runner.control.commands(&at, &runner.board.question()).await {
            Ok(commands) => {
                backoff.reset();
                if commands.drain {
                    tracing::info!("control asks to drain");
                }
                if !runner.board.heed(&commands) {
                    tokio::time::sleep_until(asked_at + NOTHING_NEW_PAUSE).await;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no commands, trying again");
                if error == Failure::RunnerUnknown {
                    runner.lease.forget(at.runner);
                }
                tokio::time::sleep(backoff.after_failure(runner.platform.random())).await;
            }
        }
    }
}
