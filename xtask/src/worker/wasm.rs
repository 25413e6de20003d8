//! The Wasm module: compiled by cargo, and made small by wasm-opt.

use std::path::{Path, PathBuf};
use std::process::Command;

use alphagate_bed::places;
use anyhow::{Context, Result, bail};

use crate::{npm, run};

const TARGET: &str = "wasm32-unknown-unknown";
/// Not `worker`: cargo keeps host programs in target/<profile>, and target/worker is the finished build.
const PROFILE: &str = "wasm-release";

/// Compiles the edge and returns where the module lies. Cargo knows whether there is anything to do.
pub(super) fn compile() -> Result<PathBuf> {
    add_target()?;
    let mut cargo = run::cargo()?;
    cargo.args(["build", "--package", "alphagate-edge", "--lib"]).args(run::quiet());
    cargo.args(["--target", TARGET, "--profile", PROFILE]);
    // The worker crate wants wasm-bindgen's macros to use js-sys for promises.
    cargo.env("WASM_BINDGEN_USE_JS_SYS", "1");
    run::visibly(&mut cargo)?;
    Ok(places::target()?.join(TARGET).join(PROFILE).join("alphagate_edge.wasm"))
}

/// Installs the target if rustup has not; a toolchain without rustup has to bring it.
fn add_target() -> Result<()> {
    if has_target()? {
        return Ok(());
    }
    println!("Adding Rust's target {TARGET} (rustup target add {TARGET})");
    let mut rustup = Command::new("rustup");
    run::visibly(rustup.args(["target", "add", TARGET]))
        .with_context(|| format!("the Worker needs Rust's target {TARGET}, and rustup could not add it"))?;
    if !has_target()? {
        bail!("rustup added {TARGET} to another toolchain than the one cargo uses");
    }
    Ok(())
}

/// Whether the standard library for Wasm is there.
pub(crate) fn has_target() -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(rustc);
    let folder = run::quietly(rustc.args(["--print", "target-libdir", "--target", TARGET]))?;
    Ok(Path::new(folder.trim()).is_dir())
}

/// Makes the module in `folder` as small as it gets, and drops what only a debugger reads.
pub(super) fn optimise(folder: &Path) -> Result<()> {
    let wasm = folder.join(super::WASM);
    let mut wasm_opt = npm::node_program("wasm-opt")?;
    // Not -Oz: its inlining saves 7 % raw, but costs 10 % gzipped, and four times as long.
    wasm_opt.args(["-O1", "--shrink-level=2", "--strip-debug", "--strip-producers"]);
    // What rustc turns on for this target; wasm-opt takes nothing for granted.
    for feature in FEATURES {
        wasm_opt.arg(format!("--enable-{feature}"));
    }
    run::quietly(wasm_opt.arg(&wasm).arg("-o").arg(&wasm))?;
    Ok(())
}

const FEATURES: [&str; 7] = [
    "bulk-memory",
    // wasm-bindgen catches what JavaScript throws, and traps, in Wasm.
    "exception-handling",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
];
