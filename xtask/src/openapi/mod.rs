//! `cargo xtask openapi`: writes clients/openapi.json as control says it, and the TypeScript types that follow from it.
//!
//! `--check` writes and builds nothing: it fails where the types are not what the document says, and where the document
//! breaks a promise of the one committed before it that `clients/breaking.toml` does not name. That the document is what
//! control says is held by a test of control, which has it at hand.

mod breaking;
mod constraints;
mod history;
mod schema;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use alphagate_bed::places;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use crate::{npm, run, steps};

/// The document, and what openapi-typescript makes of it.
const DOCUMENT: &str = "clients/openapi.json";
const TYPES: &str = "clients/typescript/schema.d.ts";
/// Broken promises that were meant.
const NAMED: &str = "clients/breaking.toml";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail on types that are out of date and on breaking changes that clients/breaking.toml does not name
    #[arg(long)]
    check: bool,
}

/// `clients/breaking.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(default)]
    change: Vec<Change>,
}

/// One broken promise that was meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// As `cargo xtask openapi --check` says it.
    what: String,
    /// Why it is worth it, and what a client does now.
    why: String,
}

/// The command `openapi`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = places::workspace()?;
    steps::step("npm packages", npm::install)?;
    let document = if arguments.check {
        fs::read_to_string(root.join(DOCUMENT)).with_context(|| DOCUMENT.to_owned())?
    } else {
        steps::step("the document", document)?
    };
    let types = steps::step("types for TypeScript", || types(&document))?;
    if arguments.check {
        let there = fs::read_to_string(root.join(TYPES)).unwrap_or_default();
        ensure!(
            there == types,
            "{TYPES} is out of date: run `cargo xtask openapi` and commit what it writes"
        );
    } else {
        for (name, text) in [(DOCUMENT, &document), (TYPES, &types)] {
            fs::write(root.join(name), text).with_context(|| name.to_owned())?;
        }
    }
    let report = steps::step("promises", || check_promises(&root, &document))?;
    println!("            {report}");
    Ok(ExitCode::SUCCESS)
}

/// The document as control prints it.
fn document() -> Result<String> {
    let mut cargo = run::cargo()?;
    cargo.args(["run", "--quiet", "--package", "alphagate-control", "--", "openapi"]);
    run::quietly(&mut cargo)
}

/// The types that openapi-typescript makes of it.
fn types(document: &str) -> Result<String> {
    let scratch = alphagate_bed::Scratch::new()?;
    let (from, to) = (scratch.path().join("openapi.json"), scratch.path().join("schema.d.ts"));
    fs::write(&from, document)?;
    let mut program = npm::node_program("openapi-typescript")?;
    run::quietly(program.arg(&from).arg("--output").arg(&to))?;
    Ok(fs::read_to_string(to)?)
}

/// Compares with the newest committed document that is another one.
fn check_promises(root: &Path, document: &str) -> Result<String> {
    let Some((commit, before)) = history::before(root, DOCUMENT, document)? else {
        return Ok(
            "no other document was ever committed, as far as this clone reaches: nothing to compare with"
                .into(),
        );
    };
    let read = |text: &str| serde_json::from_str::<Value>(text).context("the document is not JSON");
    let broken = breaking::breaking(&read(&before)?, &read(document)?);
    let named: Named = match fs::read_to_string(root.join(NAMED)) {
        Ok(text) => toml::from_str(&text).with_context(|| NAMED.to_owned())?,
        Err(_) => Named::default(),
    };
    if let Some(change) = named.change.iter().find(|change| change.why.trim().is_empty()) {
        bail!("{NAMED}: say why: {}", change.what);
    }
    let is_named = |what: &String| named.change.iter().any(|change| change.what == *what);
    let (meant, unnamed): (Vec<String>, Vec<String>) = broken.into_iter().partition(is_named);
    ensure!(
        unnamed.is_empty(),
        "compared with {DOCUMENT} of {commit}, clients break by this:\n  {}\nMend it, or name each in {NAMED}:\n\n\
         [[change]]\nwhat = '…'\nwhy = '…'",
        unnamed.join("\n  ")
    );
    Ok(format!("compared with {commit}: {} breaking changes, each named in {NAMED}", meant.len()))
}
