//! Builds the Worker: cargo, wasm-bindgen as a library, esbuild and wasm-opt from npm. Nothing is downloaded.
//!
//! Invariant: target/worker is either empty or one whole build, and its digest says of which inputs.

mod bindgen;
mod bundle;
mod digest;
mod wasm;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use alphagate_bed::places;
use anyhow::{Context, Result, bail};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::npm;

pub(crate) use wasm::has_target;

/// The two files that wrangler.toml and the bed look for.
pub(crate) const ENTRY: &str = "index.js";
pub(crate) const WASM: &str = "index_bg.wasm";
/// A cold start compiles every byte. Cloudflare allows 3 MB on free plans; we allow ourselves less than that. More than half
/// of it is the checking of JSON schemas.
const GZIPPED_MAX_BYTES: usize = 1_300_000;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Build even if nothing has changed
    #[arg(long)]
    force: bool,
}

/// The command `worker`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    npm::install()?;
    println!("{}", build(arguments.force)?);
    Ok(ExitCode::SUCCESS)
}

/// Builds it unless it is there, and says how big it is.
pub(crate) fn build(force: bool) -> Result<String> {
    let out = places::worker()?;
    // Two builds at once would mix their files; the second waits, and finds the work done.
    let gate = places::target()?;
    fs::create_dir_all(&gate)?;
    let gate = fs::File::create(gate.join("worker.lock"))?;
    gate.lock().context("cannot wait for another build of the Worker")?;
    let wasm = wasm::compile()?;
    let digest = digest::of_inputs(&wasm)?;
    if force || !digest::matches(&out, &digest) {
        let draft = out.with_extension("draft");
        if draft.exists() {
            fs::remove_dir_all(&draft)?;
        }
        bindgen::generate(&wasm, &draft)?;
        bundle::bundle(&draft)?;
        wasm::optimise(&draft)?;
        digest::write(&draft, &digest)?;
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        fs::rename(&draft, &out)?;
    } else {
        // Also when nothing had to be done: the bed compares its time with that of the sources.
        digest::write(&out, &digest)?;
    }
    check_size(&out)
}

fn check_size(out: &Path) -> Result<String> {
    let (mut raw, mut gzipped) = (0, 0);
    for name in [ENTRY, WASM] {
        let bytes = fs::read(out.join(name)).with_context(|| format!("the build made no {name}"))?;
        raw += bytes.len();
        gzipped += gzipped_bytes(&bytes)?;
    }
    let report = format!("Worker: {} kB, {} kB gzipped", raw / 1_000, gzipped / 1_000);
    if gzipped > GZIPPED_MAX_BYTES {
        bail!("{report}: more than the {} kB that a cold start is allowed", GZIPPED_MAX_BYTES / 1_000);
    }
    Ok(report)
}

fn gzipped_bytes(bytes: &[u8]) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}
