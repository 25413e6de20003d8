//! What the kernel offers for isolating: control groups and user namespaces. Read, not tried: the sandbox tries.

use super::{Finding, Grade};
use std::fs;

/// What can be read of the host.
pub fn findings() -> Vec<Finding> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let namespaces = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let user = rustix::process::geteuid();
    let user = if user.is_root() {
        Finding::new("user", Grade::Good, "root: every sandbox has a user id of its own")
    } else {
        let detail = format!("{}: sandboxes run as this user, and share it", user.as_raw());
        Finding::new("user", Grade::Weak, detail)
    };
    vec![
        user,
        Finding::of("control groups", control_groups(&mounts), Grade::Weak),
        Finding::of("user namespaces", user_namespaces(&namespaces), Grade::Weak),
    ]
}

/// Which version has the memory controller.
fn control_groups(mountinfo: &str) -> Result<String, String> {
    let mounted = |kind: &str, option: &str| {
        mountinfo.lines().filter_map(|line| line.split_once(" - ")).any(|(_, after)| {
            let mut words = after.split(' ');
            words.next() == Some(kind)
                && words.nth(1).is_some_and(|all| all.split(',').any(|one| one == option))
        })
    };
    if mounted("cgroup", "memory") {
        Ok("v1".to_owned())
    } else if mounted("cgroup2", "rw") {
        Ok("v2".to_owned())
    } else {
        Err("none is mounted for writing".to_owned())
    }
}

fn user_namespaces(max: &str) -> Result<String, String> {
    match max.trim().parse::<u64>() {
        Ok(0) => Err("switched off (sysctl user.max_user_namespaces): gVisor's own process is less confined"
            .to_owned()),
        Ok(max) => Ok(format!("{max} allowed")),
        Err(_) => Err("this kernel has none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_has_memory_is_told() {
        let v1 = "31 30 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
        let v2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let read_only = "30 25 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 ro,nsdelegate";
        assert_eq!(control_groups(&format!("{v2}\n{v1}")), Ok("v1".to_owned()));
        assert_eq!(control_groups(v2), Ok("v2".to_owned()));
        assert!(control_groups(read_only).is_err() && control_groups("").is_err());
    }

    #[test]
    fn namespaces_that_are_switched_off_are_told() {
        assert!(user_namespaces("62718\n").is_ok());
        assert!(user_namespaces("0\n").is_err() && user_namespaces("").is_err());
    }
}
