//! Waiting for what comes about by itself, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two questions: short against every promise that is measured in seconds.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer, and answers it.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if start.elapsed() > deadline {
            bail!("not within {deadline:?}: {what}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
