//! A sandbox whose agent has said hello and waits for its one job.

use super::{Key, Start};
use crate::sandbox::{
    BootError, Class, Engine, GVISOR_MARK, Sandbox,
    link::{Link, LinkError},
};
use alphagate_agent::message::{Ahead, FromAgent, ToAgent};
use alphagate_contract::job::Isolation;
use std::time::Duration;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

/// From the start of a sandbox to its agent's hello: 0.2 s on a quiet host, seconds where many boot at once.
const HELLO_MAX: Duration = Duration::from_secs(30);
/// From the order to start an interpreter to its waiting.
const AHEAD_MAX: Duration = Duration::from_secs(30);

/// A sandbox that waits.
pub struct Ready {
    /// The sandbox.
    pub sandbox: Box<dyn Sandbox>,
    /// Its agent.
    pub link: Link,
    /// What stands between it and the host.
    pub isolation: Isolation,
    /// Whether it has waited: then it may have died meanwhile.
    pub has_waited: bool,
    /// Its place among all sandboxes of this host.
    pub room: OwnedSemaphorePermit,
    /// Keeps the host quiet until its job has begun, if it has waited for one.
    pub start: Option<Start>,
}

impl Ready {
    /// Boots a sandbox and hears its agent.
    pub async fn boot(
        engine: &dyn Engine,
        class: &Class,
        room: OwnedSemaphorePermit,
    ) -> Result<Self, BootError> {
        let mut sandbox = engine.boot(class).await?;
        let pipes = sandbox.pipes().ok_or_else(|| BootError::Engine("a sandbox without pipes".to_owned()))?;
        let greeted = timeout(HELLO_MAX, Link::greet(pipes)).await;
        let (link, hello) = match greeted {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(error)) => return Err(failed(sandbox, &error.to_string()).await),
            Err(_) => return Err(failed(sandbox, "the agent did not come up in time").await),
        };
        let mut isolation = sandbox.isolation();
        if !isolation.weak && !hello.kernel.contains(GVISOR_MARK) {
            drop(link);
            failed(sandbox, "").await;
            let message = format!("the kernel inside is not gVisor: {:?}", hello.kernel);
            return Err(BootError::IsolationUnavailable(message));
        }
        if let Err(error) = sandbox.booted() {
            return Err(failed(sandbox, &error.to_string()).await);
        }
        isolation.kernel = hello.kernel;
        Ok(Self { sandbox, link, isolation, has_waited: false, room, start: None })
    }

    /// Makes everything ready that its jobs have in common, and starts an interpreter that then waits, too.
    pub async fn start_ahead(&mut self, key: &Key) -> Result<(), LinkError> {
        let Class { grader, disk_bytes, pids, .. } = key.class;
        let ahead = Ahead { language: key.language, grader, disk_bytes, pids };
        let started = timeout(AHEAD_MAX, async {
            self.link.say(&ToAgent::Ahead(ahead)).await?;
            match self.link.next().await? {
                FromAgent::Ready => Ok(()),
                _ => Err(LinkError::OutOfTurn),
            }
        });
        self.has_waited = true;
        started.await.unwrap_or(Err(LinkError::Gone))
    }

    /// Whether it is still there, as far as can be told.
    pub fn is_alive(&mut self) -> bool {
        self.sandbox.is_alive()
    }

    /// Throws it away.
    pub async fn discard(self) {
        if let Err(error) = self.sandbox.destroy().await {
            tracing::warn!(%error, "a sandbox could not be taken away");
        }
    }
}

/// Throws a sandbox away that did not come up, and says why it did not.
async fn failed(mut sandbox: Box<dyn Sandbox>, what: &str) -> BootError {
    sandbox.kill();
    let seen = sandbox.post_mortem().await;
    if let Err(error) = sandbox.destroy().await {
        tracing::warn!(%error, "a sandbox could not be taken away");
    }
    let oom = if seen.oom_killed { " (out of memory)" } else { "" };
    BootError::Engine(format!("{what}{oom}: {}", seen.panic_log.trim()))
}
