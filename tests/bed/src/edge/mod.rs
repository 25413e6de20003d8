//! The edge as a child process: node, which runs the built Worker in workerd on a fixed port.
//!
//! Invariant: workerd never outlives this process: the harness ends with its stdin, and with its group.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::process::{Launch, Process};
use crate::{places, stale};

/// On SIGHUP, SIGINT and SIGTERM Miniflare itself exits at once, before workerd is gone.
const END: Signal = Signal::USR2;
/// node and workerd start in half a second when the machine is quiet.
const READY_MAX: Duration = Duration::from_secs(30);
/// The harness gives workerd five seconds and then kills its group, itself included.
const STOP_MAX: Duration = Duration::from_secs(8);
/// An object that serves a request is evicted after it: longer than any test lets an object work.
const COMMAND_MAX: Duration = Duration::from_secs(10);

/// What `cargo xtask worker` writes last, and what it builds from.
const STAMP: &str = "inputs.sha256";
const SOURCES: [&str; 2] = ["contract/src", "edge/src"];

/// What the harness is told, as its first line.
#[derive(Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) port: u16,
    pub(crate) persist_dir: PathBuf,
    pub(crate) bindings: BTreeMap<String, Value>,
    knobs: Option<PathBuf>,
    /// Another Worker than ours, of one script.
    script: Option<PathBuf>,
    worker_dir: PathBuf,
    compatibility_date: String,
    compatibility_flags: Vec<String>,
}

impl Settings {
    /// The Worker as `cargo xtask worker` built it and wrangler.toml describes it.
    pub(crate) fn new(port: u16, persist_dir: PathBuf, with_knobs: bool) -> Result<Self> {
        #[derive(Deserialize)]
        struct Wrangler {
            compatibility_date: String,
            #[serde(default)]
            compatibility_flags: Vec<String>,
        }
        let root = places::workspace()?;
        let wrangler = fs::read_to_string(root.join("wrangler.toml")).context("no wrangler.toml")?;
        let wrangler: Wrangler = toml::from_str(&wrangler).context("wrangler.toml")?;
        let worker_dir = places::worker()?;
        if !worker_dir.join("index.js").is_file() {
            bail!("{} has no Worker: run `cargo xtask worker`", worker_dir.display());
        }
        stale::warn("the Worker", &worker_dir.join(STAMP), &SOURCES, "cargo xtask worker")?;
        Ok(Self {
            port,
            persist_dir,
            bindings: BTreeMap::new(),
            knobs: with_knobs.then(|| root.join("tests/bed/src/edge/knobs.mjs")),
            script: None,
            worker_dir,
            compatibility_date: wrangler.compatibility_date,
            compatibility_flags: wrangler.compatibility_flags,
        })
    }

    /// The Worker of one script, with the same options in the same harness.
    pub(crate) fn of_script(port: u16, persist_dir: PathBuf, script: &Path) -> Result<Self> {
        let settings = Self::new(port, persist_dir, false)?;
        Ok(Self { script: Some(script.to_owned()), ..settings })
    }

    /// Sets a variable or a secret of the Worker.
    pub(crate) fn bind(&mut self, name: &str, value: impl Into<Value>) {
        self.bindings.insert(name.to_owned(), value.into());
    }
}

/// A line of the harness, told apart from anything else on its stdout.
#[derive(Debug, Deserialize)]
struct Line {
    bed: Value,
}

/// A running edge.
#[derive(Debug)]
pub(crate) struct Edge {
    process: Process,
    last_command: u64,
}

impl Edge {
    pub(crate) async fn start(settings: &Settings, log: &Path) -> Result<Self> {
        let root = places::workspace()?;
        // Miniflare keeps scratch files; a killed one leaves them behind, so they lie with the bed's data.
        let scratch = settings.persist_dir.join("scratch");
        places::make_folder(&scratch)?;
        let mut process = Process::start(Launch {
            name: "edge",
            program: places::node()?,
            args: vec![root.join("tests/bed/src/edge/harness.mjs").into()],
            env: vec![
                ("WRANGLER_SEND_METRICS".to_owned(), "false".to_owned()),
                ("TMPDIR".to_owned(), scratch.display().to_string()),
            ],
            cwd: Some(root),
            log: log.to_owned(),
            uid: None,
            talkative: true,
            death_signal: END,
        })?;
        process.say(&serde_json::to_string(settings)?)?;
        let mut edge = Self { process, last_command: 0 };
        let answer = edge.hear(READY_MAX, |answer| answer.get("ready").is_some()).await;
        answer.context("the edge did not become ready")?;
        Ok(edge)
    }

    /// Has the harness do something to the running Worker, from outside it.
    pub(crate) async fn command(&mut self, command: &str, name: &str) -> Result<Value> {
        self.last_command += 1;
        let id = self.last_command;
        let line = json!({ "id": id, "command": command, "name": name });
        self.process.say(&line.to_string())?;
        let mine = |answer: &Value| answer.get("id") == Some(&Value::from(id));
        let answer = self.hear(COMMAND_MAX, mine).await?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => bail!("{command} {name}: {error}"),
            None => Ok(answer.get("ok").cloned().unwrap_or_default()),
        }
    }

    /// The first answer that `wanted` wants.
    async fn hear(&mut self, deadline: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let Some(lines) = self.process.lines.as_mut() else { bail!("the edge has no stdout") };
        let search = async {
            while let Some(line) = lines.recv().await {
                // workerd may print a line of its own.
                let Ok(Line { bed: answer }) = serde_json::from_str(&line) else { continue };
                if wanted(&answer) {
                    return Some(answer);
                }
            }
            None
        };
        match timeout(deadline, search).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.process.error(&format!("ended ({})", self.process.wait().await))),
            Err(_) => Err(self.process.error(&format!("no answer within {deadline:?}"))),
        }
    }

    /// The process id of node, whose child workerd is.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    pub(crate) async fn stop(self) {
        self.process.stop(END, STOP_MAX).await;
    }

    pub(crate) async fn kill(self) {
        self.process.kill().await;
    }
}
