//! `cargo xtask runsc`: gVisor's `runsc` in target/tools, without root and without touching the system.
//!
//! Invariant: what lies there came from the archive with the digest below. It is a build for development and CI; a
//! host in production takes gVisor's newest release, and `AG_RUNSC` says where that is.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use alphagate_bed::places;
use alphagate_runner::doctor;
use anyhow::{Context, Result, bail};

use crate::debian;
use crate::fetch::{self, Pinned};

/// Debian's backport: the version that this repository's isolation tests are run with.
const PACKAGE: &str = "debian/pool/main/g/golang-gvisor-gvisor/runsc_0.0~20240729.0-4~bpo12+2_amd64.deb";
const PACKAGE_SHA256: &str = "afdde883e3876ea807e19c708d4432674a20cb10186a7a5b554d62f38ea8de46";
/// Where the package has it.
const IN_PACKAGE: &str = "usr/bin/runsc";

/// The command `runsc`.
pub(crate) fn run() -> Result<ExitCode> {
    let runsc = install()?;
    println!("{} ({})", runsc.display(), doctor::runsc_version(&runsc).map_err(anyhow::Error::msg)?);
    Ok(ExitCode::SUCCESS)
}

/// The runsc to use: `AG_RUNSC`, else our own, downloaded if it is not here yet.
pub(crate) fn install() -> Result<PathBuf> {
    if let Some(given) = env::var_os("AG_RUNSC").filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        doctor::runsc_version(&given).map_err(|why| anyhow::anyhow!("AG_RUNSC cannot be used: {why}"))?;
        return Ok(given);
    }
    if env::consts::OS != "linux" || env::consts::ARCH != "x86_64" {
        bail!(
            "gVisor runs on Linux, and is fetched for x86_64 only, not for {} on {}: on Linux, install runsc \
             (https://gvisor.dev/docs/user_guide/install) and set AG_RUNSC to its path",
            env::consts::OS,
            env::consts::ARCH
        );
    }
    let tools = places::target()?.join("tools");
    fs::create_dir_all(&tools)?;
    let gate = fs::File::create(tools.join("runsc.lock"))?;
    gate.lock().context("cannot wait for another download of runsc")?;
    let runsc = tools.join("runsc");
    let stamp = tools.join("runsc.package");
    let up_to_date = fs::read_to_string(&stamp).is_ok_and(|package| package == PACKAGE_SHA256);
    if !up_to_date || !runsc.exists() {
        unpack(&runsc).context(
            "runsc, from Debian's archive, is needed to isolate jobs; without a network, install it \
             (https://gvisor.dev/docs/user_guide/install) and set AG_RUNSC to its path",
        )?;
        fs::write(stamp, PACKAGE_SHA256)?;
    }
    Ok(runsc)
}

fn unpack(runsc: &PathBuf) -> Result<()> {
    let package = Pinned { path: PACKAGE.to_owned(), sha256: PACKAGE_SHA256.to_owned() };
    fetch::fetch(std::slice::from_ref(&package))?;
    let draft = runsc.with_extension("draft");
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    fs::create_dir_all(&draft)?;
    debian::unpack(&package.cached()?, &draft, |path| path.ends_with(IN_PACKAGE))?;
    fs::rename(draft.join(IN_PACKAGE), runsc)?;
    Ok(fs::remove_dir_all(draft)?)
}
