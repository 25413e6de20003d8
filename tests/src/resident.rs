//! How much memory the edge of a bed takes.

use std::fs;

use alphagate_bed::Bed;
use anyhow::{Context, Result, bail};

/// The memory of this bed's workerd, found by the scratch folder in its environment.
pub fn resident_bytes(bed: &Bed) -> Result<u64> {
    let mark = bed.data_dir().to_str().context("a path that is no text")?.as_bytes().to_vec();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let named = fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "workerd");
        let ours =
            || fs::read(path.join("environ")).is_ok_and(|text| text.windows(mark.len()).any(|w| w == mark));
        if named && ours() {
            let status = fs::read_to_string(path.join("status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
            let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
            return Ok(kilobytes * 1024);
        }
    }
    bail!("this bed has no workerd")
}
