//! What a build was made of, so that an unchanged Worker is not built again.
//!
//! Cargo answers for the Rust side: its output is an input here. The rest is scripts, tools and this recipe.

use std::fs;
use std::path::Path;

use alphagate_bed::places;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{bindgen, bundle};

const FILE: &str = "inputs.sha256";
/// The recipe itself: a change in how we build is a change of the build.
const RECIPE: [&str; 4] =
    [bundle::SHIM, include_str!("bindgen.rs"), include_str!("bundle.rs"), include_str!("wasm.rs")];

/// The digest of everything that goes into a build of this module.
pub(super) fn of_inputs(wasm: &Path) -> Result<String> {
    let root = places::workspace()?;
    let mut inputs = vec![wasm.to_owned(), root.join("Cargo.lock"), root.join("package-lock.json")];
    inputs.extend(bindgen::edge_scripts()?);
    let mut hasher = Sha256::new();
    for part in RECIPE {
        hasher.update(Sha256::digest(part));
    }
    for input in inputs {
        let bytes = fs::read(&input).with_context(|| format!("cannot read {}", input.display()))?;
        hasher.update(Sha256::digest(bytes));
    }
    Ok(hex::encode(hasher.finalize()))
}

/// Whether `folder` holds the build of that digest.
pub(super) fn matches(folder: &Path, digest: &str) -> bool {
    fs::read_to_string(folder.join(FILE)).is_ok_and(|built| built == digest)
}

/// Marks `folder` as the build of that digest.
pub(super) fn write(folder: &Path, digest: &str) -> Result<()> {
    Ok(fs::write(folder.join(FILE), digest)?)
}
