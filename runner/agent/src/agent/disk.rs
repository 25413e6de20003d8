//! The job's disk: one bounded tmpfs that holds its folder, scratch and shared memory together.
//!
//! Where the agent may mount (it may under gVisor, whose mounts are its own), the bound is exactly the job's. Where it may
//! not, it takes what the engine has mounted there.

use alphagate_agent::{
    CANDIDATE_FOLDER, CANDIDATE_UID, JOB_FOLDER, JOB_UID, RUN_FOLDER, SCRATCH_FOLDER, SHARED_MEMORY_FOLDER,
};
use rustix::{
    fs::{CWD, Mode, StatVfs, chmod, chown, mkdirat, statvfs},
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount},
    process::{Gid, Uid},
};
use std::{ffi::CString, io};

/// Nothing on these disks can raise anyone's rights, or be a device.
const FLAGS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Where the disk itself is; its three folders are then bound to where user code looks for them.
fn disk_folder() -> String {
    format!("{RUN_FOLDER}/disk")
}

/// Mounts the disk. Under a grader everything on it is the grader's alone.
pub fn mount_disk(bytes: u64, grader: bool) -> io::Result<()> {
    let disk = disk_folder();
    mkdirat(CWD, disk.as_str(), Mode::from(0o711))?;
    match mount_tmpfs(&disk, bytes, "mode=0711") {
        Ok(()) => {}
        Err(Errno::PERM) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let places = [(JOB_FOLDER, 0o755), (SCRATCH_FOLDER, 0o1777), (SHARED_MEMORY_FOLDER, 0o1777)];
    for (index, (place, mode)) in places.into_iter().enumerate() {
        let folder = format!("{disk}/{index}");
        mkdirat(CWD, folder.as_str(), Mode::from(0o700))?;
        chmod(folder.as_str(), Mode::from(if grader { 0o700 } else { mode }))?;
        chown(folder.as_str(), Some(Uid::from_raw(JOB_UID)), Some(Gid::from_raw(JOB_UID)))?;
        mount_bind(folder.as_str(), place)?;
    }
    Ok(())
}

fn mount_tmpfs(place: &str, bytes: u64, options: &str) -> rustix::io::Result<()> {
    let options = CString::new(format!("size={bytes},{options}")).unwrap_or_default();
    mount(c"tmpfs", place, c"tmpfs", FLAGS, options.as_c_str())
}

/// A fresh disk for one candidate.
pub fn mount_candidate(bytes: u64) -> io::Result<()> {
    match mkdirat(CWD, CANDIDATE_FOLDER, Mode::from(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let owner = format!("mode=0700,uid={CANDIDATE_UID},gid={CANDIDATE_UID}");
    Ok(mount_tmpfs(CANDIDATE_FOLDER, bytes, &owner)?)
}

/// Takes the candidate's disk away, whatever is still open on it.
pub fn unmount_candidate() {
    // If it fails, the next candidate's disk is mounted over it, and covers it.
    let _ = unmount(CANDIDATE_FOLDER, UnmountFlags::DETACH);
}

/// How full a disk is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fill {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Whether not a block is free.
    pub is_full: bool,
}

/// How full the job's disk is.
pub fn fill() -> Fill {
    let fill = |found: StatVfs| Fill {
        used_bytes: (found.f_blocks - found.f_bavail) * found.f_frsize,
        is_full: found.f_blocks > 0 && found.f_bavail == 0,
    };
    statvfs(JOB_FOLDER).map(fill).unwrap_or_default()
}

/// Bytes in use on the candidate's disk.
pub fn candidate_bytes() -> u64 {
    statvfs(CANDIDATE_FOLDER).map_or(0, |found| (found.f_blocks - found.f_bavail) * found.f_frsize)
}
