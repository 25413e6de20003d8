//! The JavaScript around the Wasm module, made by wasm-bindgen, and the scripts that the edge brings along.

use std::fs;
use std::path::Path;

use alphagate_bed::places;
use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

/// Where wasm-bindgen puts scripts of crates: `snippets/<crate>-<hash>/<path in the crate>`.
const SNIPPETS: &str = "snippets";
const EDGE_SNIPPETS: &str = "alphagate-edge-";

/// Writes index.js, index_bg.wasm and the scripts they import into `folder`.
pub(super) fn generate(wasm: &Path, folder: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(wasm)
        .out_name("index")
        .typescript(false)
        .module(true)?
        // A dead instance can be replaced by a fresh one, and its death is noticed (see shim.js).
        .reset_state_function(true)
        .force_enable_abort_handler(true)
        .generate(folder)
        .context("wasm-bindgen could not read the Worker's module")?;
    add_imported_scripts(folder)
}

/// wasm-bindgen copies the scripts that Rust names; what those import from each other is copied here.
fn add_imported_scripts(folder: &Path) -> Result<()> {
    let snippets = folder.join(SNIPPETS);
    if !snippets.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(snippets)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(EDGE_SNIPPETS) {
            let scripts = entry.path().join("src");
            fs::create_dir_all(&scripts)?;
            for script in edge_scripts()? {
                let name = script.file_name().context("a script without a name")?;
                fs::copy(&script, scripts.join(name))?;
            }
        }
    }
    Ok(())
}

/// Every script of the edge, in order of name.
pub(super) fn edge_scripts() -> Result<Vec<std::path::PathBuf>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(places::workspace()?.join("edge/src"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "js") {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}
