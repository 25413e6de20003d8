//! One script out of many: our entry, wasm-bindgen's glue and the edge's own scripts, bundled by esbuild.

use std::fs;
use std::path::Path;
use std::process::Command;

use alphagate_bed::places;
use anyhow::Result;

use super::{ENTRY, WASM};
use crate::run;

/// The entry, written by hand.
pub(super) const SHIM: &str = include_str!("shim.js");
/// A stage-3 syntax that workerd does not read; without the word the import means the same there.
const SOURCE_PHASE_IMPORT: &str = "import source ";

/// Bundles what wasm-bindgen left in `folder` into one script, in place.
pub(super) fn bundle(folder: &Path) -> Result<()> {
    let glue = folder.join(ENTRY);
    let text = fs::read_to_string(&glue)?.replace(SOURCE_PHASE_IMPORT, "import ");
    fs::write(&glue, text)?;
    fs::write(folder.join("shim.js"), SHIM)?;
    let mut esbuild = Command::new(places::npm_binary("esbuild")?);
    esbuild.current_dir(folder).args([
        "shim.js",
        "--bundle",
        "--format=esm",
        "--target=esnext",
        "--minify-syntax",
        "--minify-whitespace",
        "--external:cloudflare:*",
        &format!("--external:./{WASM}"),
        &format!("--outfile={ENTRY}"),
        "--allow-overwrite",
        "--log-level=error",
    ]);
    run::quietly(&mut esbuild)?;
    fs::remove_file(folder.join("shim.js"))?;
    let snippets = folder.join("snippets");
    if snippets.exists() {
        fs::remove_dir_all(snippets)?;
    }
    Ok(())
}
