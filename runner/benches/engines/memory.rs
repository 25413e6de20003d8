//! What a sandbox that waits costs the host: the proportional set size of all its processes, stubs and shims included.

use super::subject::Subject;
use anyhow::Result;
use std::{fs, path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, time::sleep};

/// For what a boot still allocates after its agent has spoken.
const SETTLED: Duration = Duration::from_secs(1);

/// Bytes of one, as the mean of some.
pub async fn each(subject: &Subject, count: usize) -> Result<u64> {
    let Some(home) = subject.home() else { return process().await };
    let home = home.display().to_string();
    let before = bytes_of(&home);
    let held = subject.hold(count).await?;
    sleep(SETTLED).await;
    let during = bytes_of(&home);
    for sandbox in held {
        sandbox.destroy().await?;
    }
    Ok(during.saturating_sub(before) / u64::try_from(count.max(1))?)
}

/// A Python that waits for input.
async fn process() -> Result<u64> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", "input()"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    sleep(SETTLED).await;
    let bytes = child.id().map_or(0, |pid| pss(&Path::new("/proc").join(pid.to_string())));
    child.kill().await?;
    Ok(bytes)
}

/// All processes whose command line names the folder.
fn bytes_of(home: &str) -> u64 {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &Path| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        // The daemons themselves are there once, however many sandboxes there are.
        line.contains(home) && !line.starts_with("dockerd") && !line.starts_with("containerd\0")
    };
    processes.filter(|path| named(path)).map(|path| pss(&path)).sum()
}

/// Memory of a process, with its share of what it shares, bytes.
fn pss(process: &Path) -> u64 {
    let rollup = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
