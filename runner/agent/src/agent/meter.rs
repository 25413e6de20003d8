//! What user code uses right now, as the kernel inside tells: processor time, memory, processes.

use alphagate_agent::CANDIDATE_UID;
use std::{fs, os::unix::fs::MetadataExt as _};

/// `sysconf(_SC_CLK_TCK)`: a constant of Linux' interface, and gVisor's.
const TICK_MS: u64 = 10;
/// The page size of x86-64 and of our arm64 hosts.
const PAGE_BYTES: u64 = 4096;

/// One look at all processes but the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of everything that lives or has been reaped, milliseconds.
    pub cpu_ms: u64,
    /// Resident memory of the job, bytes.
    pub memory_bytes: u64,
    /// Resident memory of a candidate, bytes.
    pub candidate_memory_bytes: u64,
    /// Processes of a candidate.
    pub candidate_processes: usize,
}

/// The fields that count, of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stat {
    own_ms: u64,
    children_ms: u64,
    memory_bytes: u64,
}

/// Parses one `/proc/PID/stat`. The program's name may hold anything, parentheses too: fields count from the last `)`.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // rest begins with field 3 of proc(5): utime is field 14, cutime 16, rss 24.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        own_ms: (field(14)? + field(15)?) * TICK_MS,
        children_ms: (field(16)? + field(17)?) * TICK_MS,
        memory_bytes: field(24)? * PAGE_BYTES,
    })
}

/// Looks at every process.
pub fn look() -> Usage {
    let mut usage = Usage::default();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = fs::read(entry.path().join("stat")).unwrap_or_default();
        let Some(stat) = parse(&String::from_utf8_lossy(&stat)) else { continue };
        usage.cpu_ms += stat.children_ms;
        if pid == 1 {
            continue;
        }
        usage.cpu_ms += stat.own_ms;
        if entry.metadata().is_ok_and(|metadata| metadata.uid() == CANDIDATE_UID) {
            usage.candidate_memory_bytes += stat.memory_bytes;
            usage.candidate_processes += 1;
        } else {
            usage.memory_bytes += stat.memory_bytes;
        }
    }
    usage
}

/// Processes and threads, the agent left out: one cheap call.
pub fn tasks() -> u32 {
    u32::from(rustix::system::sysinfo().procs).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_and_spaces_do_not_shift_the_fields() {
        let line =
            "7 (a) R (b) R 0 1 1 0 0 0 0 0 0 0 35 12 3 4 20 0 21 0 2 1197826048 14007 18446744073709551615";
        let expected = Stat { own_ms: 470, children_ms: 70, memory_bytes: 14007 * 4096 };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("7 (a"), None);
        assert_eq!(parse("7 (a) R 1 2"), None);
    }
}
