//! The log: JSON lines on stderr, written by a thread of its own.
//!
//! Invariant: nothing waits for whoever reads the log. Lines that find no room are dropped, and counted; the count is in the
//! log as soon as there is room again.

use std::time::Duration;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that may wait to be written: at half a kilobyte each, 8 MB.
const LINES_MAX: usize = 16_384;
/// How often it is looked whether lines were dropped.
const LOOK: Duration = Duration::from_secs(10);

/// The log of this program; dropped, what waits is written, if somebody reads it within a second.
#[must_use]
pub struct Log {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

/// Starts the log, with the filter of `AG_LOG` (`info` if there is none).
pub fn start() -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let filter = EnvFilter::try_from_env("AG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(writer)
        .with_env_filter(filter)
        .init();
    Log { dropped, _writer: guard }
}

impl Log {
    /// Tells of dropped lines, for ever.
    pub async fn watch(&self) {
        let mut told = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            let dropped = self.dropped.dropped_lines();
            if dropped > told {
                tracing::warn!(lines = dropped - told, "nobody read the log in time: lines were dropped");
                told = dropped;
            }
        }
    }
}
