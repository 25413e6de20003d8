//! What a subject's processes use, as Linux counts it: processor time and resident memory.
//!
//! Invariant: of a Worker, workerd alone is weighed; what starts it belongs to the harness.

use anyhow::{Result, ensure};
use rustix::param::{clock_ticks_per_second, page_size};
use std::{fs, path::Path, time::Duration};

const WORKERD: &str = "workerd";
/// In /proc/…/stat, counted from the process's state, which follows its name.
const GROUP: usize = 2;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
/// In /proc/…/statm.
const RESIDENT: usize = 1;

/// Some processes.
#[derive(Debug, Clone)]
pub struct Meter {
    pids: Vec<i32>,
}

impl Meter {
    /// Those of a process group: workerd, where there is one, else all.
    pub fn of_group(leader: i32) -> Result<Self> {
        let mut all = Vec::new();
        let mut workerd = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let Some(stat) = Stat::of(pid) else { continue };
            if stat.field(GROUP) == i64::from(leader) {
                all.push(pid);
                if stat.name == WORKERD {
                    workerd.push(pid);
                }
            }
        }
        ensure!(!all.is_empty(), "no process is in the group of {leader}");
        Ok(Self { pids: if workerd.is_empty() { all } else { workerd } })
    }

    /// Processor time so far, user's and system's.
    pub fn cpu(&self) -> Duration {
        let ticks = self.pids.iter().filter_map(|pid| Stat::of(*pid));
        let ticks: i64 = ticks.map(|stat| stat.field(USER_TICKS) + stat.field(SYSTEM_TICKS)).sum();
        let nanos = u64::try_from(ticks).unwrap_or(0).saturating_mul(1_000_000_000);
        Duration::from_nanos(nanos / clock_ticks_per_second().max(1))
    }

    /// Resident memory, bytes.
    pub fn resident_bytes(&self) -> u64 {
        let pages = self.pids.iter().filter_map(|pid| {
            let text = fs::read_to_string(folder(*pid).join("statm")).ok()?;
            text.split_whitespace().nth(RESIDENT)?.parse::<u64>().ok()
        });
        pages.sum::<u64>() * u64::try_from(page_size()).unwrap_or(0)
    }
}

struct Stat {
    name: String,
    fields: Vec<String>,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(folder(pid).join("stat")).ok()?;
        // The name may contain anything, also parentheses.
        let (before, after) = text.rsplit_once(") ")?;
        let (_, name) = before.split_once('(')?;
        Some(Self { name: name.to_owned(), fields: after.split_whitespace().map(str::to_owned).collect() })
    }

    fn field(&self, index: usize) -> i64 {
        self.fields.get(index).and_then(|field| field.parse().ok()).unwrap_or(0)
    }
}

fn folder(pid: i32) -> std::path::PathBuf {
    Path::new("/proc").join(pid.to_string())
}
