//! The engine of hosts where Docker runs: jobs, their limits, and what is left, against a daemon that the test starts.
//!
//! Skipped, with a line that says why, where there is no Docker, no gVisor or no image.

#[path = "docker/daemon.rs"]
mod daemon;

use alphagate_runner::sandbox::{
    Engine as _,
    docker::{Docker, DockerSettings},
};
use daemon::Daemon;
use std::{env, path::PathBuf};

/// A daemon, and the settings of an engine on it; none where that cannot be.
fn docker() -> Option<(tempfile::TempDir, Daemon, DockerSettings)> {
    let part = |name: &str| env::var_os(name).map(PathBuf::from);
    let parts = part("AG_RUNSC").zip(part("AG_AGENT")).zip(part("AG_IMAGES"));
    let Some(((runsc, agent), images)) = parts else {
        eprintln!("skipped: `cargo xtask test` sets AG_RUNSC, AG_AGENT and AG_IMAGES where there is gVisor");
        return None;
    };
    if let Some(why) = daemon::why_not() {
        eprintln!("skipped: {why}");
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path(), &runsc);
    let settings = DockerSettings {
        socket: daemon.socket(),
        runtime: "runsc".to_owned(),
        allow_weak: false,
        instance: "smoke".to_owned(),
        agent,
        images,
    };
    Some((home, daemon, settings))
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_run_in_gvisor_under_docker() {
    let Some((_home, _daemon, settings)) = docker() else { return };
    let engine = Docker::connect(settings).await.unwrap();
    let isolation = engine.probe().await.unwrap();
    println!("{isolation:?}");
    assert!(isolation.kernel.contains("gVisor") && isolation.host_limits && !isolation.weak);
    assert_eq!(engine.reap_leftovers().await.unwrap(), 0);
}
