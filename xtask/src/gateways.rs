//! The gateways that the benchmark compares ours with, each at one version in a folder of its own.
//!
//! Invariant: nothing of theirs runs while they are installed: pip takes wheels only, npm runs no scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;

const LITELLM: &str = "litellm[proxy]==1.106.0";
const PORTKEY: &str = "@portkey-ai/gateway@1.15.2";
/// Says what was installed, so that a second run does nothing.
const STAMP: &str = "installed.txt";

/// LiteLLM's program, in an environment of its own below `folder`.
pub(crate) fn litellm(folder: &Path) -> Result<PathBuf> {
    let home = folder.join("litellm");
    installed(&home, LITELLM, || {
        run::quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
            .context("python3 with its venv module is needed (Debian: apt install python3-venv)")?;
        let mut pip = Command::new(home.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        run::quietly(pip.args(["--only-binary", ":all:", LITELLM]))
    })?;
    Ok(home.join("bin/litellm"))
}

/// The script that is Portkey's server.
pub(crate) fn portkey(folder: &Path) -> Result<PathBuf> {
    let home = folder.join("portkey");
    installed(&home, PORTKEY, || {
        fs::create_dir_all(&home)?;
        // Without one, npm would install into the checkout.
        fs::write(home.join("package.json"), "{\"private\": true}\n")?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"]);
        run::quietly(npm.args(["--save-exact", PORTKEY]).current_dir(&home))
    })?;
    Ok(home.join("node_modules/@portkey-ai/gateway/build/start-server.js"))
}

fn installed(home: &Path, wanted: &str, install: impl FnOnce() -> Result<String>) -> Result<()> {
    let stamp = home.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    Ok(fs::write(stamp, wanted)?)
}
