//! Waiting for a server: asked again and again until it answers, its process dies, or time is up.
//!
//! Invariant: whoever waits in vain learns why: the error carries the end of the server's log.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep, timeout_at};

use crate::process::Process;

/// The pause between two questions: a server is ready for at most this long before we know.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks `probe` until it says yes.
pub(crate) async fn until<P, F>(process: &Process, deadline: Duration, probe: P) -> Result<()>
where
    P: Fn() -> F,
    F: Future<Output = Result<()>>,
{
    let end = Instant::now() + deadline;
    loop {
        if let Some(status) = process.exited() {
            return Err(process.error(&format!("ended before it was ready ({status})")));
        }
        let answer = match timeout_at(end, probe()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "no answer".to_owned(),
        };
        if Instant::now() + PAUSE > end {
            return Err(process.error(&format!("not ready within {deadline:?}: {answer}")));
        }
        sleep(PAUSE).await;
    }
}

/// A probe: the url answers 2xx.
pub(crate) async fn answers(http: &reqwest::Client, url: &str) -> Result<()> {
    http.get(url).send().await?.error_for_status()?;
    Ok(())
}
