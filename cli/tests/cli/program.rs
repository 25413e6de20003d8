//! Starts the binary with a home of its own and nothing of this machine's settings.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use alphagate_bed::Bed;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// Longer than any command of a test takes on a loaded machine.
const COMMAND_MAX: Duration = Duration::from_secs(120);

/// Someone at a terminal.
#[derive(Debug)]
pub struct Program {
    home: TempDir,
    env: Vec<(&'static str, String)>,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// With control, edge and key in the environment.
    pub fn with_key(bed: &Bed, key: &str) -> Result<Self> {
        let mut program = Self::nobody()?;
        program.env.push(("ALPHAGATE_URL", bed.control_url()));
        program.env.push(("ALPHAGATE_EDGE_URL", bed.edge_url()));
        program.env.push(("ALPHAGATE_KEY", key.to_owned()));
        Ok(program)
    }

    /// Who has not logged in.
    pub fn nobody() -> Result<Self> {
        Ok(Self { home: TempDir::new()?, env: Vec::new() })
    }

    /// A file in the home, written.
    pub fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, content)?;
        Ok(path)
    }

    /// A path in the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Where the profiles are.
    pub fn config(&self) -> PathBuf {
        self.path("config/alphagate/config.toml")
    }

    /// The command, not started. It works in the home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alphagate"));
        command.args(arguments).env_clear().current_dir(self.home.path());
        command.env("HOME", self.home.path()).env("XDG_CONFIG_HOME", self.path("config"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        ran(self.command(arguments), None).await
    }

    /// Runs a command with something on its standard input.
    pub async fn run_with(&self, arguments: &[&str], stdin: &str) -> Result<Ran> {
        ran(self.command(arguments), Some(stdin)).await
    }

    /// Runs a command that must succeed, and reads its JSON.
    pub async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [arguments, &["--json"]].concat();
        self.run(&arguments).await?.with_status(0)?.json()
    }
}

async fn ran(mut command: Command, stdin: Option<&str>) -> Result<Ran> {
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn()?;
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        pipe.write_all(text.as_bytes()).await?;
    }
    let output =
        timeout(COMMAND_MAX, child.wait_with_output()).await.context("the command did not end")??;
    Ran::of(output)
}

impl Ran {
    /// What has ended.
    pub fn of(output: std::process::Output) -> Result<Self> {
        Ok(Self {
            status: output.status.code().context("a signal ended the command")?,
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Itself, if it ended with this status.
    pub fn with_status(self, status: i32) -> Result<Self> {
        ensure!(self.status == status, "status {}:\n{}\n{}", self.status, self.stdout, self.stderr);
        Ok(self)
    }

    /// Standard output as one JSON document.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {}", self.stdout))
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
