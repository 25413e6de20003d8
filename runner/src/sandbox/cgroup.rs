//! The runner's own cgroups: one per sandbox, made before the sandbox, so that its counters outlive it.
//!
//! Invariant: everything is made under one parent that belongs to this runner's state folder alone; nothing outside it is
//! ever written, but for what v2 asks of the runner's own group to delegate.

mod layout;

pub use layout::Layout;

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long a killed group may take to become empty.
const EMPTY_MAX: Duration = Duration::from_secs(5);
/// How often to look whether it has.
const EMPTY_EVERY: Duration = Duration::from_millis(2);
/// The kernel's period for processor quotas, microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// What a sandbox may use of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Memory, bytes: user code, its disk, the sandbox itself.
    pub memory_bytes: u64,
    /// Host processes and threads: a backstop, for a sandbox whose own limit failed.
    pub pids: u32,
}

/// Which controller's folder it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All of them, v2.
    Unified,
    /// v1: memory.
    Memory,
    /// v1: cpu.
    Cpu,
    /// v1: pids.
    Pids,
    /// v1: cpuacct.
    Account,
}

/// One sandbox's group: a folder in v2, a folder per controller in v1.
#[derive(Debug)]
pub struct Cgroup {
    folders: Vec<(Kind, PathBuf)>,
}

impl Cgroup {
    /// Makes the group under every parent, with its bounds.
    pub fn create(layout: &Layout, id: &str, bounds: Bounds) -> io::Result<Self> {
        let mut group = Self { folders: Vec::new() };
        for (kind, parent) in layout.parents() {
            let folder = parent.join(id);
            let made = fs::create_dir_all(&folder);
            group.folders.push((*kind, folder));
            let bounded = made.and_then(|()| group.bound(*kind, bounds));
            if let Err(error) = bounded {
                // The first error counts; what was made is taken back.
                let _ = group.remove();
                return Err(error);
            }
        }
        Ok(group)
    }

    /// A group that an earlier process of this runner has left.
    pub fn existing(layout: &Layout, id: &str) -> Self {
        let folders = layout.parents().iter().map(|(kind, parent)| (*kind, parent.join(id)));
        Self { folders: folders.filter(|(_, folder)| folder.is_dir()).collect() }
    }

    /// Bounds its processors: from then on, for its boot takes all that it can get.
    pub fn bound_processors(&self, cpus: u32) -> io::Result<()> {
        let quota_us = CPU_PERIOD_US * u64::from(cpus);
        for (kind, _) in &self.folders {
            match kind {
                Kind::Unified => self.write(*kind, "cpu.max", format!("{quota_us} {CPU_PERIOD_US}"))?,
                Kind::Cpu => {
                    self.write(*kind, "cpu.cfs_period_us", CPU_PERIOD_US)?;
                    self.write(*kind, "cpu.cfs_quota_us", quota_us)?;
                }
                Kind::Memory | Kind::Pids | Kind::Account => {}
            }
        }
        Ok(())
    }

    fn bound(&self, kind: Kind, bounds: Bounds) -> io::Result<()> {
        match kind {
            Kind::Unified => {
                self.write(kind, "memory.max", bounds.memory_bytes)?;
                // Not every kernel has swap to account for.
                let _ = self.write(kind, "memory.swap.max", 0);
                self.write(kind, "memory.oom.group", 1)?;
                self.write(kind, "pids.max", bounds.pids)
            }
            Kind::Memory => {
                self.write(kind, "memory.limit_in_bytes", bounds.memory_bytes)?;
                let _ = self.write(kind, "memory.memsw.limit_in_bytes", bounds.memory_bytes);
                let _ = self.write(kind, "memory.swappiness", 0);
                Ok(())
            }
            Kind::Pids => self.write(kind, "pids.max", bounds.pids),
            Kind::Cpu | Kind::Account => Ok(()),
        }
    }

    fn folder(&self, kind: Kind) -> Option<&Path> {
        self.folders.iter().find(|(found, _)| *found == kind).map(|(_, folder)| folder.as_path())
    }

    fn write(&self, kind: Kind, file: &str, value: impl ToString) -> io::Result<()> {
        let folder = self.folder(kind).ok_or(io::ErrorKind::NotFound)?;
        fs::write(folder.join(file), value.to_string())
            .map_err(|error| io::Error::new(error.kind(), format!("{}/{file}: {error}", folder.display())))
    }

    fn read(&self, kind: Kind, file: &str) -> Option<String> {
        fs::read_to_string(self.folder(kind)?.join(file)).ok()
    }

    /// The files into which a process writes itself, opened.
    pub fn doors(&self) -> io::Result<Vec<fs::File>> {
        let open = |folder: &PathBuf| fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs"));
        self.folders.iter().map(|(_, folder)| open(folder)).collect()
    }

    /// How often the kernel has killed in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let events = self.read(Kind::Unified, "memory.events");
        let events = events.or_else(|| self.read(Kind::Memory, "memory.oom_control")).unwrap_or_default();
        field(&events, "oom_kill")
    }

    /// Most memory at once, bytes; 0 if the kernel does not tell.
    pub fn memory_peak_bytes(&self) -> u64 {
        let peak = self.read(Kind::Unified, "memory.peak");
        let peak = peak.or_else(|| self.read(Kind::Memory, "memory.max_usage_in_bytes"));
        peak.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Processor time since it was made, milliseconds.
    pub fn processor_ms(&self) -> Option<u64> {
        if let Some(stat) = self.read(Kind::Unified, "cpu.stat") {
            return Some(field(&stat, "usage_usec") / 1000);
        }
        let nanoseconds = self.read(Kind::Account, "cpuacct.usage")?;
        nanoseconds.trim().parse::<u64>().ok().map(|nanoseconds| nanoseconds / 1_000_000)
    }

    /// The processes in it.
    pub fn pids(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self
            .folders
            .iter()
            .filter_map(|(_, folder)| fs::read_to_string(folder.join("cgroup.procs")).ok())
            .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<_>>())
            .filter(|pid| *pid > 0)
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Ends everything in it, once.
    pub fn kill(&self) {
        if self.write(Kind::Unified, "cgroup.kill", 1).is_ok() {
            return;
        }
        for pid in self.pids().into_iter().filter_map(rustix::process::Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Ends everything in it and deletes it. Blocks until it is empty.
    pub fn remove(&self) -> io::Result<()> {
        let begun = Instant::now();
        for (_, folder) in &self.folders {
            loop {
                match fs::remove_dir(folder) {
                    Ok(()) => break,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    Err(error) if begun.elapsed() > EMPTY_MAX => return Err(error),
                    Err(_) => self.kill(),
                }
                thread::sleep(EMPTY_EVERY);
            }
        }
        Ok(())
    }
}

/// The number after a word at the start of a line.
fn field(text: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { memory_bytes: 1 << 28, pids: 1024 };

    #[test]
    fn a_v2_group_gets_every_bound_in_one_folder() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::of(vec![(Kind::Unified, root.path().to_owned())]);
        let group = Cgroup::create(&layout, "x", BOUNDS).unwrap();
        let written = |file: &str| fs::read_to_string(root.path().join("x").join(file)).unwrap();
        assert_eq!(written("memory.max"), "268435456");
        assert_eq!(written("memory.oom.group"), "1");
        assert!(!root.path().join("x/cpu.max").exists());
        group.bound_processors(2).unwrap();
        assert_eq!(written("cpu.max"), "200000 100000");
        assert_eq!(written("pids.max"), "1024");
        fs::write(root.path().join("x/memory.events"), "low 0\noom 1\noom_kill 3\noom_group_kill 1\n")
            .unwrap();
        fs::write(root.path().join("x/memory.peak"), "4096\n").unwrap();
        fs::write(root.path().join("x/cpu.stat"), "usage_usec 17000\nuser_usec 9000\n").unwrap();
        assert_eq!(group.processor_ms(), Some(17));
        assert_eq!((group.oom_kills(), group.memory_peak_bytes()), (3, 4096));
        group.kill();
        assert_eq!(written("cgroup.kill"), "1");
    }

    #[test]
    fn a_v1_group_gets_a_folder_per_controller() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let layout = Layout::of(vec![(Kind::Memory, at("m")), (Kind::Cpu, at("c")), (Kind::Pids, at("p"))]);
        let group = Cgroup::create(&layout, "x", BOUNDS).unwrap();
        assert_eq!(fs::read_to_string(at("m/x/memory.limit_in_bytes")).unwrap(), "268435456");
        group.bound_processors(2).unwrap();
        assert_eq!(fs::read_to_string(at("c/x/cpu.cfs_quota_us")).unwrap(), "200000");
        fs::write(at("m/x/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n").unwrap();
        fs::write(at("p/x/cgroup.procs"), "7\n9\n").unwrap();
        fs::write(at("c/x/cgroup.procs"), "9\n").unwrap();
        assert_eq!((group.oom_kills(), group.pids()), (1, vec![7, 9]));
    }
}
