//! Where this process may make groups: found from what the kernel says of mounts and of the process itself.

use super::Kind;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What v2 must delegate.
const DELEGATED: &str = "+memory +cpu +pids";
/// The share of the processors that all sandboxes together have while others want them, too, of `cpu.weight`'s default
/// 100 (cgroup-v2.rst): what keeps the host alive, this runner above all, goes first. Alone, they may use all of it.
const WEIGHT: u32 = 12;
/// The same for v1, of `cpu.shares`' default 1024.
const SHARES: u32 = 128;

/// The parents under which a group is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    parents: Vec<(Kind, PathBuf)>,
}

impl Layout {
    /// Parents as given.
    pub const fn of(parents: Vec<(Kind, PathBuf)>) -> Self {
        Self { parents }
    }

    /// The parents called `name` under this process's own groups, made and writable; why not, otherwise.
    pub fn claim(name: &str) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let found = find(&mounts, &own);
        if found.is_empty() {
            return Err(io::Error::other("no memory controller is mounted"));
        }
        let mut parents = Vec::new();
        for (kind, own) in found {
            if kind == Kind::Unified {
                delegate(&own, name)?;
            }
            let parent = own.join(name);
            fs::create_dir_all(&parent)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", parent.display())))?;
            match kind {
                Kind::Unified => {
                    fs::write(parent.join("cgroup.subtree_control"), DELEGATED)?;
                    fs::write(parent.join("cpu.weight"), WEIGHT.to_string())?;
                }
                Kind::Cpu => fs::write(parent.join("cpu.shares"), SHARES.to_string())?,
                Kind::Memory | Kind::Pids | Kind::Account => {}
            }
            parents.push((kind, parent));
        }
        Ok(Self { parents })
    }

    /// The parents.
    pub fn parents(&self) -> &[(Kind, PathBuf)] {
        &self.parents
    }

    /// Names of the groups that are there.
    pub fn children(&self) -> Vec<String> {
        let folders = self.parents.iter().filter_map(|(_, parent)| fs::read_dir(parent).ok());
        let entries = folders.flatten().flatten().filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Deletes the parents, if they are empty.
    pub fn release(&self) {
        for (_, parent) in &self.parents {
            // Another process may have begun to use it: then it stays.
            let _ = fs::remove_dir(parent);
        }
    }
}

/// v2 forbids processes in a group that has children with controllers: this process moves into a leaf of its own.
fn delegate(own: &Path, name: &str) -> io::Result<()> {
    let control = own.join("cgroup.subtree_control");
    if fs::write(&control, DELEGATED).is_ok() {
        return Ok(());
    }
    let leaf = own.join(format!("{name}-runner"));
    fs::create_dir_all(&leaf)?;
    fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())?;
    fs::write(&control, DELEGATED)
}

/// The folder of this process's own group, per controller. v1 wins where it has memory: then v2 has not.
fn find(mountinfo: &str, own: &str) -> Vec<(Kind, PathBuf)> {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
    let v1 = [(Kind::Memory, "memory"), (Kind::Cpu, "cpu"), (Kind::Pids, "pids"), (Kind::Account, "cpuacct")];
    let v1: Vec<_> = v1
        .into_iter()
        .filter_map(|(kind, controller)| {
            let mount = mounts.iter().find(|mount| mount.has(controller))?;
            Some((
                kind,
                mount.inside(own_path(own, |names| names.split(',').any(|name| name == controller))?)?,
            ))
        })
        .collect();
    if v1.first().is_some_and(|(kind, _)| *kind == Kind::Memory) {
        return v1;
    }
    let unified = mounts.iter().find(|mount| mount.kind == "cgroup2");
    let unified = unified.and_then(|mount| mount.inside(own_path(own, str::is_empty)?));
    unified.map(|path| (Kind::Unified, path)).into_iter().collect()
}

/// This process's path in the hierarchy whose controllers satisfy `is_it`.
fn own_path(own: &str, is_it: impl Fn(&str) -> bool) -> Option<&str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        is_it(names).then_some(path)
    })
}

/// One line of `mountinfo`.
struct Mount<'a> {
    root: &'a str,
    place: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, place) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        Some(Self { root, place, kind, options })
    }

    fn has(&self, controller: &str) -> bool {
        self.kind == "cgroup" && self.options.split(',').any(|option| option == controller)
    }

    /// Where a path of the hierarchy is, if this mount shows it.
    fn inside(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path).strip_prefix(self.root).ok()?;
        Some(Path::new(self.place).join(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
30 25 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

    #[test]
    fn hybrid_hosts_are_v1() {
        let own = "8:pids:/\n4:memory:/a/b\n1:cpu,cpuacct:/c\n0::/";
        let expected = [
            (Kind::Memory, "/sys/fs/cgroup/memory/a/b".into()),
            (Kind::Cpu, "/sys/fs/cgroup/cpu,cpuacct/c".into()),
            (Kind::Pids, "/sys/fs/cgroup/pids/".into()),
            (Kind::Account, "/sys/fs/cgroup/cpu,cpuacct/c".into()),
        ];
        assert_eq!(find(V1, own), expected);
    }

    #[test]
    fn a_unified_host_is_v2_also_inside_a_container() {
        let mounts = "30 25 0:26 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(find(mounts, "0::/box/runner"), [(Kind::Unified, "/sys/fs/cgroup/runner".into())]);
        assert_eq!(find(mounts, "0::/elsewhere"), []);
        assert_eq!(find("", "0::/"), []);
    }
}
