//! What this host can do, and what is left on it: gVisor, processes, memory.

use std::fs;

use alphagate_bed::Isolation;
use anyhow::{Context, Result, bail};

/// Whether jobs can run here. Where they cannot, a line says why; with `AG_REQUIRE_GVISOR` that is an error.
pub fn has_gvisor() -> Result<bool> {
    let Err(missing) = Isolation::find() else { return Ok(true) };
    if std::env::var_os("AG_REQUIRE_GVISOR").is_some() {
        bail!("gVisor is required here: {missing:#}");
    }
    eprintln!("SKIPPED, no sandbox on this host: {missing:#}");
    Ok(false)
}

/// Resident memory of a process, in bytes.
pub fn memory_bytes(pid: i32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// Processes of this host whose command line contains `text`, by their ids.
pub fn processes_with(text: &str) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // A process may end while we look.
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(text) {
            found.push(pid);
        }
    }
    Ok(found)
}
