//! What user code uses right now, as the kernel inside tells: processor time, memory, processes.

use alphagate_agent::CANDIDATE_UID;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// `sysconf(_SC_CLK_TCK)`: a constant of Linux' interface, and gVisor's.
const TICK_MS: u64 = 10;
/// The page size of x86-64 and of our arm64 hosts.
const PAGE_BYTES: u64 = 4096;

/// Memory at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of the job, bytes.
    pub job_bytes: u64,
    /// Of a candidate under it, bytes.
    pub candidate_bytes: u64,
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

/// Looking at every process of a crowd takes its time from the crowd; its processor time is then the runner's to measure.
const CROWD: u32 = 16;

/// Every process: its id, its user, its figures.
fn processes() -> impl Iterator<Item = (u32, u32, Stat)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = parse(&String::from_utf8_lossy(&fs::read(entry.path().join("stat")).ok()?))?;
        Some((pid, entry.metadata().ok()?.uid(), stat))
    })
}

/// Processor time of everything that lives or has been reaped, milliseconds, the agent's own left out.
pub fn processor_ms() -> u64 {
    processes().map(|(pid, _, stat)| stat.children_ms + if pid == 1 { 0 } else { stat.own_ms }).sum()
}

/// The same, unless there are so many that asking would take too long.
pub fn processor_ms_of_few() -> Option<u64> {
    (tasks() <= CROWD).then(processor_ms)
}

/// Processes of a candidate.
pub fn candidate_processes() -> usize {
    processes().filter(|(_, uid, _)| *uid == CANDIDATE_UID).count()
}

/// Memory of everything but the agent. Under gVisor its own account of memory counts, in which shared pages are counted
/// once; it has files in memory as anonymous, so `disk_bytes` of the disks are taken off.
pub fn memory(job: u32, has_candidate: bool, disk_bytes: u64) -> Memory {
    let resident = |pid: u32| {
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        parse(&String::from_utf8_lossy(&stat)).map_or(0, |stat| stat.memory_bytes)
    };
    let Some(all_bytes) = anonymous_bytes() else {
        let others = processes().filter(|(pid, _, _)| *pid != 1);
        return others.fold(Memory::default(), |mut memory, (_, uid, stat)| {
            let part = if uid == CANDIDATE_UID { &mut memory.candidate_bytes } else { &mut memory.job_bytes };
            *part += stat.memory_bytes;
            memory
        });
    };
    let used_bytes = all_bytes.saturating_sub(disk_bytes + resident(1));
    // A grader is one process, as a rule; what is not its own is its candidate's, while there is one.
    let job_bytes = if has_candidate { used_bytes.min(resident(job)) } else { used_bytes };
    Memory { job_bytes, candidate_bytes: used_bytes - job_bytes }
}

/// All anonymous memory of this kernel, if this kernel is the sandbox's alone.
fn anonymous_bytes() -> Option<u64> {
    if !IS_GVISOR.load(Ordering::Relaxed) {
        return None;
    }
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("AnonPages:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Whether the kernel's own accounts are about this sandbox alone: gVisor's are.
static IS_GVISOR: AtomicBool = AtomicBool::new(false);

/// Takes note of what the kernel said of itself.
pub fn note_kernel(boot_message: &str) {
    IS_GVISOR.store(boot_message.contains("gVisor"), Ordering::Relaxed);
}

/// Processor time of the job. gVisor counts a task that waits for a processor as one that has it, so with more tasks than
/// processors its sum runs ahead of the clock: what is counted is never more than the processors can have given.
#[derive(Debug, Clone, Copy)]
pub struct Processor {
    /// Used so far, milliseconds.
    pub used_ms: u64,
    seen_ms: u64,
    cpus: u32,
}

impl Processor {
    /// Counts from a sum on.
    pub const fn new(baseline_ms: u64, cpus: u32) -> Self {
        Self { used_ms: 0, seen_ms: baseline_ms, cpus }
    }

    /// The kernel's sum is now this, so long after the last look.
    pub fn count(&mut self, sum_ms: u64, passed: Duration) {
        let possible_ms =
            u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_add(1) * u64::from(self.cpus);
        self.used_ms += sum_ms.saturating_sub(self.seen_ms).min(possible_ms);
        self.seen_ms = self.seen_ms.max(sum_ms);
    }
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

    #[test]
    fn no_more_processor_time_is_counted_than_there_was() {
        let mut processor = Processor::new(100, 2);
        processor.count(150, Duration::from_millis(80));
        assert_eq!(processor.used_ms, 50);
        processor.count(5_000, Duration::from_millis(80));
        assert_eq!(processor.used_ms, 50 + 162);
        processor.count(4_000, Duration::from_millis(80));
        processor.count(5_010, Duration::from_millis(80));
        assert_eq!(processor.used_ms, 50 + 162 + 10);
    }
}
