//! Warns when what a bed runs is older than what it is built from.
//!
//! `cargo xtask` builds both before it starts a bed; plain `cargo test` does not, and then yesterday's Worker would
//! fail, or pass, today's test.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use crate::places;

/// Says so on stderr when a file below one of `sources` is newer than `built`.
pub(crate) fn warn(what: &str, built: &Path, sources: &[&str], remedy: &str) -> Result<()> {
    let root = places::workspace()?;
    let built_at = fs::metadata(built)?.modified()?;
    let changed_at = sources.iter().filter_map(|source| newest(&root.join(source))).max();
    if changed_at.is_some_and(|changed_at| changed_at > built_at) {
        eprintln!("warning: {what} is older than its sources: run `{remedy}`");
    }
    Ok(())
}

/// When the newest file below `path` was written.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        let entries = fs::read_dir(path).ok()?.flatten();
        return entries.filter_map(|entry| newest(&entry.path())).max();
    }
    fs::metadata(path).ok()?.modified().ok()
}
