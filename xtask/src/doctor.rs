//! `cargo xtask doctor`: what is missing on this machine, and how to get it.
//!
//! Invariant: when it finds nothing, `up` and `test` have all that they do not bring themselves.

use std::process::{Command, ExitCode, Stdio};

use alphagate_bed::places;
use anyhow::Result;

use crate::{isolation, worker};

/// A debug and a Worker build of the workspace, npm's packages, and the beds' data: measured 5 GB.
const FREE_MIN_GB: u64 = 8;
/// npm comes with node; the node that runs Miniflare comes from npm.
const NODE_MIN_MAJOR: u32 = 18;
const RUST_MIN_MINOR: u32 = 95;

/// What was found: what it is, and if it is not there, why and what to do.
struct Finding {
    what: &'static str,
    found: Result<String, String>,
}

/// The command `doctor`.
pub(crate) fn run() -> Result<ExitCode> {
    let findings = [
        Finding { what: "Rust", found: rust() },
        Finding { what: "Rust's Wasm target", found: wasm_target() },
        Finding { what: "a linker", found: linker() },
        Finding { what: "node", found: node() },
        Finding { what: "npm", found: says("npm", &["--version"], "it comes with Node.js") },
        Finding { what: "Python with venv", found: python() },
        Finding { what: "disk space", found: disk() },
    ];
    let mut missing = 0;
    for Finding { what, found } in findings {
        match found {
            Ok(detail) => println!("  ok       {what}: {detail}"),
            Err(advice) => {
                missing += 1;
                println!("  MISSING  {what}: {advice}");
            }
        }
    }
    if missing > 0 {
        println!("{missing} missing");
        return Ok(ExitCode::FAILURE);
    }
    sandboxes();
    println!("Everything is there. Next: cargo xtask up");
    Ok(ExitCode::SUCCESS)
}

/// Whether jobs can run here. What is not fetched yet is no reason to fail: `up` and `test` fetch it.
fn sandboxes() {
    match isolation::examine() {
        Ok(found) if found.is_fit => println!("\nSandboxes\n{found}\n"),
        Ok(found) => {
            println!("\nSandboxes (`cargo xtask test` fetches and builds what they need)\n{found}\n")
        }
        Err(error) => println!("\nSandboxes could not be examined: {error:#}\n"),
    }
}

/// The first line that a program prints, or the advice.
fn says(program: &str, arguments: &[&str], advice: &str) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.lines().next().unwrap_or_default().to_owned())
        }
        Ok(_) | Err(_) => Err(format!("`{program} {}` does not work: {advice}", arguments.join(" "))),
    }
}

fn rust() -> Result<String, String> {
    let advice = format!("Rust 1.{RUST_MIN_MINOR} or newer is needed: https://rustup.rs");
    let version = says("rustc", &["--version"], &advice)?;
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_some_and(|minor| minor >= RUST_MIN_MINOR) { Ok(version) } else { Err(advice) }
}

fn wasm_target() -> Result<String, String> {
    let name = "wasm32-unknown-unknown";
    match worker::has_target() {
        Ok(true) => Ok(name.to_owned()),
        // `cargo xtask worker` does this by itself where rustup can.
        _ => Err(format!("rustup target add {name}")),
    }
}

fn linker() -> Result<String, String> {
    says(
        "cc",
        &["--version"],
        "install a C compiler (Debian: apt install build-essential; macOS: xcode-select --install)",
    )
}

fn node() -> Result<String, String> {
    let advice = format!("Node.js {NODE_MIN_MAJOR} or newer is needed: https://nodejs.org");
    let version = says("node", &["--version"], &advice)?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= NODE_MIN_MAJOR) { Ok(version) } else { Err(advice) }
}

fn python() -> Result<String, String> {
    let advice = "needed by `cargo xtask test` only (Debian: apt install python3-venv)";
    says("python3", &["-c", "import venv, ensurepip, sys; print(sys.version.split()[0])"], advice)
}

fn disk() -> Result<String, String> {
    let root = places::workspace().map_err(|error| error.to_string())?;
    let stat = rustix::fs::statvfs(&root).map_err(|error| error.to_string())?;
    let free_gb = stat.f_bavail.saturating_mul(stat.f_frsize) / 1_000_000_000;
    if free_gb >= FREE_MIN_GB {
        Ok(format!("{free_gb} GB free"))
    } else {
        Err(format!("{free_gb} GB free here, {FREE_MIN_GB} GB are needed"))
    }
}
