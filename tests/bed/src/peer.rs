//! Another gateway as a child process on a free port: what a benchmark compares ours with.
//!
//! Invariant: it is ended with its whole group, at the latest with this process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::ports::Lease;
use crate::process::{Launch, Process};
use crate::{http, ready};

/// LiteLLM imports for ten seconds on a quiet machine.
const READY_MAX: Duration = Duration::from_secs(120);
/// Longest life of one question whether it is ready.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// What a tidy end may take; nothing of a peer's is kept.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Debug)]
pub struct PeerLaunch {
    /// Its word, for errors.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments; `{port}` in them becomes the port it is given.
    pub args: Vec<String>,
    /// Its environment, on top of ours.
    pub env: Vec<(String, String)>,
    /// The path that answers 2xx when it is ready.
    pub ready_path: &'static str,
    /// Where it logs to.
    pub log: PathBuf,
}

/// A running gateway.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    port: Lease,
}

impl Peer {
    /// Starts it and returns when it answers.
    pub async fn start(launch: PeerLaunch) -> Result<Self> {
        let port = Lease::take(None).with_context(|| format!("no port for {}", launch.name))?;
        let number = port.port.to_string();
        let args = launch.args.iter().map(|arg| OsString::from(arg.replace("{port}", &number)));
        let process = Process::start(Launch {
            name: launch.name,
            program: launch.program,
            args: args.collect(),
            env: launch.env,
            cwd: None,
            log: launch.log,
            uid: None,
            talkative: false,
            death_signal: Signal::KILL,
        })?;
        let peer = Self { process, port };
        let client = http::client(Some(PROBE_MAX))?;
        let url = format!("{}{}", peer.url(), launch.ready_path);
        ready::until(&peer.process, READY_MAX, || ready::answers(&client, &url)).await?;
        Ok(peer)
    }

    /// Where it listens, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.port)
    }

    /// Its process id: the leader of its process group.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Ends it.
    pub async fn stop(self) {
        self.process.stop(Signal::TERM, STOP_MAX).await;
    }
}
