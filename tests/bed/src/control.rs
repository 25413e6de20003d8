//! The control plane as a child process: migrated, then served on a fixed port.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::places;
use crate::process::{Launch, Process};
use crate::{ready, stale};

/// A debug build on a loaded machine starts within a second or two.
const READY_MAX: Duration = Duration::from_secs(30);
/// All migrations on an empty database take about a second.
const MIGRATE_MAX: Duration = Duration::from_secs(60);
/// Longer than the deadline that control itself gives requests under way when asked to end.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(15);

/// What it is built from.
const SOURCES: [&str; 3] = ["contract/src", "control/src", "migrations"];

/// The binary: `AG_CONTROL_BIN`, else the debug build in cargo's target folder.
pub(crate) fn binary() -> Result<PathBuf> {
    if let Some(binary) = env::var_os("AG_CONTROL_BIN") {
        return Ok(binary.into());
    }
    let binary = places::target()?.join("debug/alphagate-control");
    if !binary.is_file() {
        bail!("{} is missing: run `cargo build -p alphagate-control`", binary.display());
    }
    stale::warn("control", &binary, &SOURCES, "cargo build -p alphagate-control")?;
    Ok(binary)
}

/// Brings the database of `owner_url` to the newest schema.
pub(crate) async fn migrate(binary: &Path, log: &Path, owner_url: &str) -> Result<()> {
    let args = vec!["migrate".into(), "--database-url".into(), owner_url.into()];
    let process = Process::start(launch("migrate", binary, log, args, Vec::new()))?;
    match timeout(MIGRATE_MAX, process.wait()).await {
        Ok(status) if status == "exit status: 0" => Ok(()),
        Ok(status) => Err(process.error(&status)),
        Err(_) => Err(process.error(&format!("not done within {MIGRATE_MAX:?}"))),
    }
}

/// Starts `serve` and waits until it is ready at `url`.
pub(crate) async fn serve(
    binary: &Path,
    log: &Path,
    env: Vec<(String, String)>,
    http: &reqwest::Client,
    url: &str,
) -> Result<Process> {
    let process = Process::start(launch("control", binary, log, vec!["serve".into()], env))?;
    let readyz = format!("{url}/readyz");
    ready::until(&process, READY_MAX, || ready::answers(http, &readyz)).await?;
    Ok(process)
}

fn launch(
    name: &'static str,
    binary: &Path,
    log: &Path,
    args: Vec<std::ffi::OsString>,
    env: Vec<(String, String)>,
) -> Launch {
    Launch {
        name,
        program: binary.to_owned(),
        args,
        env,
        cwd: None,
        log: log.to_owned(),
        uid: None,
        talkative: false,
        death_signal: Signal::KILL,
    }
}
