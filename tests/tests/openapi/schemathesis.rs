//! schemathesis, as its own command line has it: bounded in time, with a credential for each way to show who one is.

use std::{env, fs, path::Path, path::PathBuf, process::Stdio, time::Duration};

use alphagate_bed::places;
use anyhow::{Context, Result, bail, ensure};
use tokio::{process::Command, time::timeout};

/// What it checks: nothing breaks, and every answer is one that the document knows.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
    response_schema_conformance,unsupported_method,allow_header_conformance,ignored_auth";
/// How long it may ask, seconds: every operation takes half a minute, on a busy machine some minutes.
const MAX_TIME_S: u64 = 300;
/// How long the deep form draws at random, too, seconds.
const DEEP_MAX_TIME_S: u64 = 900;
/// From its start to its end, beyond that.
const SLACK: Duration = Duration::from_secs(60);
/// The same questions whenever the document is the same; the deep form draws anew.
const SEED: &str = "1";
/// What it must not ask: the first is held as long as a runner may take, and there is none here, the second until there is
/// work; of the streams it takes the document's schema for each event's, for which OpenAPI 3.1 has no word; with the others,
/// and ids that it has read in answers, it would suspend its own org and take away its own key and token.
const LEFT_OUT: [&str; 8] = [
    "graders_run",
    "dispatch_claim",
    "events_stream",
    "runs_events",
    "orgs_change",
    "keys_revoke",
    "keys_rotate",
    "runners_revoke_token",
];

/// Who it is.
pub struct Credentials<'a> {
    /// An admin's, with every scope that is harmless here.
    pub api_key: &'a str,
    /// The operator's.
    pub operator_token: &'a str,
    /// A host's.
    pub runner_token: &'a str,
}

impl Credentials<'_> {
    /// By the names of the document's security schemes. A signature covers each request, so there is none for the edge:
    /// its routes are asked by somebody who is not the edge.
    fn config(&self) -> String {
        let scheme = |name: &str, token: &str| format!("[auth.openapi.{name}]\nbearer = \"{token}\"\n\n");
        [
            scheme("api_key", self.api_key),
            scheme("operator_token", self.operator_token),
            scheme("runner_token", self.runner_token),
        ]
        .concat()
    }
}

fn program() -> Result<PathBuf> {
    let own = || places::workspace().map(|root| root.join("target/schemathesis/bin/schemathesis"));
    let program = env::var_os("AG_SCHEMATHESIS").map_or_else(own, |path| Ok(path.into()))?;
    ensure!(program.exists(), "{} is missing: run `cargo xtask test` once", program.display());
    Ok(program)
}

/// Asks control everything, and fails with what it found.
pub async fn run(control_url: &str, credentials: &Credentials<'_>, folder: &Path) -> Result<()> {
    let is_deep = env::var_os("AG_DEEP").is_some();
    let (max_time_s, phases) = if is_deep {
        (DEEP_MAX_TIME_S, "examples,coverage,fuzzing,stateful")
    } else {
        (MAX_TIME_S, "coverage")
    };
    let config = folder.join("schemathesis.toml");
    fs::write(&config, credentials.config())?;
    let mut command = Command::new(program()?);
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    command.arg("--config-file").arg(&config).args(["run", &format!("{control_url}/v1/openapi.json")]);
    command.args(["--url", control_url, "--checks", CHECKS, "--phases", phases]);
    command.args(LEFT_OUT.iter().flat_map(|name| ["--exclude-operation-id", name]));
    command.args(["--workers", "2", "--max-time", &max_time_s.to_string(), "--request-timeout", "20"]);
    command.args([
        "--max-examples",
        "20",
        "--continue-on-failure",
        "--generation-database",
        "none",
        "--no-color",
    ]);
    if !is_deep {
        command.args(["--seed", SEED, "--no-shrink"]);
    }
    let ends = timeout(Duration::from_secs(max_time_s) + SLACK, command.output());
    let output = ends.await.context("schemathesis does not end")??;
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{said}\n{complaint}");
    }
    let is_whole = is_deep || !said.contains("Time limit reached");
    ensure!(is_whole, "not every operation was asked within {max_time_s} s:\n{said}");
    println!(
        "{}",
        said.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    );
    Ok(())
}
