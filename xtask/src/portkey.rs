//! Portkey's gateway in target/portkey, for the test of targets that stand behind one.
//!
//! Invariant: nothing of it runs while it is installed: npm runs no scripts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use alphagate_bed::places;
use anyhow::Result;

use crate::run;

/// The version under test.
const PACKAGE: &str = "@portkey-ai/gateway@1.15.2";
/// Says what was installed, so that a second run does nothing.
const STAMP: &str = "installed.txt";

/// The script that is its server, installed if it is not there.
pub(crate) fn prepare() -> Result<PathBuf> {
    let home = places::workspace()?.join("target/portkey");
    let (stamp, script) =
        (home.join(STAMP), home.join("node_modules/@portkey-ai/gateway/build/start-server.js"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == PACKAGE) {
        return Ok(script);
    }
    fs::create_dir_all(&home)?;
    // Without one, npm would install into the checkout.
    fs::write(home.join("package.json"), "{\"private\": true}\n")?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"]);
    run::quietly(npm.args(["--save-exact", PACKAGE]).current_dir(&home))?;
    fs::write(stamp, PACKAGE)?;
    Ok(script)
}
