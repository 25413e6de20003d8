//! Runners as child processes: each with a folder of its own, killed, frozen and drained as a test wants.
//!
//! Invariant: a runner of a bed finds what it needs to isolate (runsc, agent, images) where `cargo xtask` puts it, and
//! whatever ends the bed ends its runners and, by them, their sandboxes.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{Launch, Process};
use crate::{Bed, places, ready, stale};

/// A runner looks for leftovers, tests its isolation in a sandbox and registers: seconds on a loaded machine.
const READY_MAX: Duration = Duration::from_secs(60);
/// Longer than the longest job of a test that drains.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// Sandboxes are killed and their folders removed within a second.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What it is built from.
const SOURCES: [&str; 2] = ["contract/src", "runner/src"];

/// How a runner is to be.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// Its name, its folder and its log (`runner-<name>`).
    pub name: String,
    /// Sandboxes at once.
    pub sandbox_slots: u32,
    /// Samples at once.
    pub sample_slots: u32,
    /// Its environment (`AG_…`), on top of the bed's.
    pub env: BTreeMap<String, String>,
}

impl RunnerOptions {
    /// A runner with so many slots of either kind.
    #[must_use]
    pub fn new(name: &str, sandbox_slots: u32, sample_slots: u32) -> Self {
        Self { name: name.to_owned(), sandbox_slots, sample_slots, env: BTreeMap::new() }
    }

    /// Sets a variable in its environment.
    #[must_use]
    pub fn var(mut self, name: &str, value: impl ToString) -> Self {
        self.env.insert(name.to_owned(), value.to_string());
        self
    }
}

/// A running runner. Killed when dropped.
#[derive(Debug)]
pub struct Runner {
    process: Process,
    /// Where it keeps its sandboxes.
    pub state: PathBuf,
    log: PathBuf,
}

impl Runner {
    /// Kills it (SIGKILL). Its sandboxes die with it; what they leave is the next runner's to reap.
    pub async fn kill(self) {
        self.process.kill().await;
    }

    /// Stops it from running (SIGSTOP), as a host that hangs.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Asks it to drain (SIGTERM) and waits until it has left.
    pub async fn drain(self) {
        self.process.stop(Signal::TERM, DRAIN_MAX).await;
    }

    /// Asks it to end without waiting for its jobs: SIGTERM twice.
    pub async fn stop_at_once(self) {
        self.process.signal(Signal::TERM);
        self.process.stop(Signal::TERM, STOP_MAX).await;
    }

    /// Whether it has ended, and how.
    #[must_use]
    pub fn exited(&self) -> Option<String> {
        self.process.exited()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// What a runner needs beside its binary, or why it is not there.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// gVisor.
    pub runsc: PathBuf,
    /// The static agent.
    pub agent: PathBuf,
    /// The store of root file systems.
    pub images: PathBuf,
}

impl Isolation {
    /// Where `cargo xtask` put it: `AG_RUNSC`, `AG_AGENT` and `AG_IMAGES`, else cargo's target folder.
    pub fn find() -> Result<Self> {
        let target = places::target()?;
        let at =
            |variable, path: &str| env::var_os(variable).map_or_else(|| target.join(path), PathBuf::from);
        let found = Self {
            runsc: at("AG_RUNSC", "tools/runsc"),
            agent: at("AG_AGENT", "agent/alphagate-agent"),
            images: at("AG_IMAGES", "images"),
        };
        for (path, command) in [(&found.runsc, "runsc"), (&found.agent, "agent")] {
            if !path.is_file() {
                bail!("{} is missing: run `cargo xtask {command}`", path.display());
            }
        }
        Ok(found)
    }
}

impl Bed {
    /// Starts a runner and returns when control knows it.
    pub async fn start_runner(&self, options: RunnerOptions) -> Result<Runner> {
        let isolation = Isolation::find()?;
        let name = format!("runner-{}", options.name);
        let state = self.data_dir().join(&name);
        let log = self.data_dir().join(format!("{name}.log"));
        let process = Process::start(Launch {
            name: "runner",
            program: binary()?,
            args: vec!["serve".into()],
            env: self.runner_env(&options, &isolation, &state).await?,
            cwd: None,
            log: log.clone(),
            uid: None,
            talkative: false,
            death_signal: Signal::KILL,
        })?;
        let runner = Runner { process, state, log };
        let (operator, host) = (self.operator()?, options.name.clone());
        let known = async || {
            let runners: Value = operator.get("/operator/v1/runners").await?;
            if is_alive(&runners, &host) { Ok(()) } else { bail!("control does not know it yet") }
        };
        ready::until(&runner.process, READY_MAX, known).await?;
        Ok(runner)
    }

    async fn runner_env(
        &self,
        options: &RunnerOptions,
        isolation: &Isolation,
        state: &Path,
    ) -> Result<Vec<(String, String)>> {
        let token: Value = self
            .operator()?
            .send(Method::POST, "/operator/v1/runner-tokens", &json!({"name": options.name}))
            .await
            .context("no runner token")?;
        let token = token["secret"].as_str().context("a runner token without a secret")?.to_owned();
        let path = |path: &Path| path.display().to_string();
        let own = [
            ("AG_CONTROL_URL", self.control_url()),
            ("AG_RUNNER_TOKEN", token),
            ("AG_RUNNER_NAME", options.name.clone()),
            ("AG_SANDBOX_SLOTS", options.sandbox_slots.to_string()),
            ("AG_SAMPLE_SLOTS", options.sample_slots.to_string()),
            ("AG_RUNNER_STATE", path(state)),
            ("AG_RUNSC", path(&isolation.runsc)),
            ("AG_AGENT", path(&isolation.agent)),
            ("AG_IMAGES", path(&isolation.images)),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        Ok(own.chain(options.env.clone()).collect())
    }
}

fn is_alive(runners: &Value, name: &str) -> bool {
    let runners = runners["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    runners.iter().any(|runner| runner["name"] == name && runner["alive"] == true)
}

/// The binary: `AG_RUNNER_BIN`, else the debug build in cargo's target folder.
fn binary() -> Result<PathBuf> {
    if let Some(binary) = env::var_os("AG_RUNNER_BIN") {
        return Ok(binary.into());
    }
    let binary = places::target()?.join("debug/alphagate-runner");
    if !binary.is_file() {
        bail!("{} is missing: run `cargo build -p alphagate-runner`", binary.display());
    }
    stale::warn("runner", &binary, &SOURCES, "cargo build -p alphagate-runner")?;
    Ok(binary)
}
