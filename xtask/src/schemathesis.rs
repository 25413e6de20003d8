//! schemathesis in target/schemathesis: it asks control whatever the OpenAPI document allows, and what it forbids.
//!
//! It has an environment of its own: what it needs must not decide which versions the SDKs under test get.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use alphagate_bed::places;
use anyhow::{Context, Result};

use crate::run;

/// The version under which the test's options were written.
const PACKAGE: &str = "schemathesis==4.32.5";
/// Says what was installed, so that a second run does nothing.
const STAMP: &str = "installed.txt";

/// Its program, installed if it is not there.
pub(crate) fn prepare() -> Result<PathBuf> {
    let home = places::workspace()?.join("target/schemathesis");
    let (stamp, program) = (home.join(STAMP), home.join("bin/schemathesis"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == PACKAGE) {
        return Ok(program);
    }
    run::quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))
        .context("python3 with its venv module is needed (Debian: apt install python3-venv)")?;
    let mut pip = Command::new(home.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]);
    run::quietly(&mut pip)?;
    fs::write(stamp, PACKAGE)?;
    Ok(program)
}
