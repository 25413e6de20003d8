//! What npm brings, at the versions of package-lock.json.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use alphagate_bed::places;
use anyhow::{Context, Result};
use serde::Deserialize;

use crate::run;

/// The lock file at the root, and the one that npm leaves in node_modules after an installation.
const WANTED: &str = "package-lock.json";
const INSTALLED: &str = "node_modules/.package-lock.json";

#[derive(Debug, Deserialize)]
struct Lock {
    packages: BTreeMap<String, Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    version: Option<String>,
    #[serde(default)]
    optional: bool,
}

/// Runs `npm ci` unless node_modules holds what the lock file wants. Says whether it ran.
pub(crate) fn install() -> Result<bool> {
    let root = places::workspace()?;
    if is_installed(&root)? {
        return Ok(false);
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-fund", "--no-audit", "--loglevel=error"]).current_dir(&root);
    run::quietly(&mut npm).context("npm could not install package-lock.json")?;
    Ok(true)
}

/// A program from an npm package that is JavaScript, run by npm's own node.
pub(crate) fn node_program(name: &str) -> Result<Command> {
    let mut command = Command::new(places::node()?);
    command.arg(places::npm_binary(name)?);
    Ok(command)
}

fn is_installed(root: &Path) -> Result<bool> {
    let Some(installed) = read(&root.join(INSTALLED)) else { return Ok(false) };
    let wanted = read(&root.join(WANTED)).context("package-lock.json cannot be read")?;
    let up_to_date = wanted.packages.iter().all(|(path, package)| {
        let there = installed.packages.get(path);
        // The root has the empty path; what is optional may be for another platform.
        path.is_empty()
            || there.is_some_and(|there| there.version == package.version)
            || (there.is_none() && package.optional)
    });
    // The node package installs its binary in a script of its own.
    Ok(up_to_date && root.join("node_modules/.bin/node").exists())
}

fn read(path: &Path) -> Option<Lock> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
