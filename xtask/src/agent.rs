//! `cargo xtask agent`: the static program that is PID 1 in every sandbox, in target/agent.
//!
//! Invariant: what lies there is linked statically, or it is not there: it must run in any image.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use alphagate_bed::places;
use alphagate_runner::doctor;
use anyhow::{Context, Result, bail};

use crate::run;

const NAME: &str = "alphagate-agent";
/// The usual target can link statically, so no other one needs to be installed.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The command `agent`.
pub(crate) fn run() -> Result<ExitCode> {
    println!("{}", build()?.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds it if a source has changed, and says where it is.
pub(crate) fn build() -> Result<PathBuf> {
    if std::env::consts::OS != "linux" || std::env::consts::ARCH != "x86_64" {
        bail!("sandboxes, and the agent inside them, run on Linux on x86_64 only");
    }
    let target = places::target()?;
    // A folder of its own: other flags in the same one would build everything anew each time.
    let built = target.join("agent-build");
    let mut cargo = run::cargo()?;
    cargo.args(["build", "--release", "--package", NAME, "--target", TARGET, "--target-dir"]).arg(&built);
    cargo.args(run::quiet()).env("RUSTFLAGS", "-C target-feature=+crt-static");
    run::visibly(&mut cargo)?;
    let program = built.join(TARGET).join("release").join(NAME);
    if !doctor::is_static(&program).map_err(anyhow::Error::msg)? {
        bail!("{} is linked dynamically: it would not run in every image", program.display());
    }
    let agent = place()?;
    let home = agent.parent().context("the agent's folder")?;
    fs::create_dir_all(home)?;
    let draft = home.join(format!("draft-{}", std::process::id()));
    if fs::read(&agent).ok() != Some(fs::read(&program)?) {
        // Renamed, because a sandbox may be running the old one.
        fs::copy(&program, &draft).context("the agent cannot be put into place")?;
        fs::rename(draft, &agent)?;
    }
    Ok(agent)
}

/// Where it is, once it is built.
pub(crate) fn place() -> Result<PathBuf> {
    Ok(places::target()?.join("agent").join(NAME))
}
