//! Whether a host can isolate: shown by booting a sandbox, not by looking at versions.

use super::{BootError, Class, Engine, GVISOR_MARK, link::Link};
use alphagate_contract::job::Isolation;
use std::time::Duration;
use tokio::time::timeout;

/// A cold boot takes 0.2 s, on a busy host some seconds; an engine that hangs (gVisor's KVM platform does, on some
/// hosts) is given no more than this.
const PROBE_MAX: Duration = Duration::from_secs(20);
const MIB: u64 = 1024 * 1024;

/// Boots a sandbox, hears its agent, and throws it away.
pub async fn probe(engine: &dyn Engine) -> Result<Isolation, BootError> {
    let late = |_| BootError::IsolationUnavailable("a test sandbox did not come up in time".to_owned());
    timeout(PROBE_MAX, boot_and_listen(engine)).await.map_err(late)?
}

async fn boot_and_listen(engine: &dyn Engine) -> Result<Isolation, BootError> {
    let images = engine.images().await;
    let image = images.into_iter().min_by_key(|name| name != super::runsc::HOST_IMAGE);
    let image = image.ok_or_else(|| BootError::ImageUnavailable("this host has no image".to_owned()))?;
    let (memory_bytes, disk_bytes) = (64 * MIB, 8 * MIB);
    let class = Class { image, memory_bytes, disk_bytes, pids: 16, grader: false };
    let mut sandbox = engine.boot(&class).await?;
    let heard = async {
        let pipes = sandbox.pipes().ok_or_else(|| BootError::Engine("no pipes".to_owned()))?;
        Link::greet(pipes).await.map(|(_, hello)| hello).map_err(|error| BootError::Engine(error.to_string()))
    };
    let heard = heard.await;
    let mut isolation = sandbox.isolation();
    sandbox.kill();
    let why = sandbox.post_mortem().await.panic_log;
    // What is left of it is found again when the runner starts next.
    let _ = sandbox.destroy().await;
    let hello =
        heard.map_err(|error| BootError::IsolationUnavailable(format!("{error} {why}").trim().to_owned()))?;
    if !isolation.weak && !hello.kernel.contains(GVISOR_MARK) {
        let message = format!("the kernel inside is not gVisor: {:?}", hello.kernel);
        return Err(BootError::IsolationUnavailable(message));
    }
    isolation.kernel = hello.kernel;
    Ok(isolation)
}
