//! Who the agent acts as. It stays guest root; for files of user code it takes that user's place for a moment, so that
//! no path that user code made can lead it where user code may not go.

use rustix::{
    process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior},
    thread::{
        CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups, set_thread_res_gid,
        set_thread_res_uid,
    },
};
use std::io;

/// What the agent keeps once the disk is mounted: to become the job's user, and to end its processes.
const KEPT: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID).union(CapabilitySet::KILL);
/// What it keeps beside that under a grader: each candidate gets a disk of its own.
const KEPT_UNDER_GRADER: CapabilitySet = KEPT.union(CapabilitySet::SYS_ADMIN);

/// Nobody inside may read the agent's memory, and it has no groups but its own.
pub fn harden() -> io::Result<()> {
    set_thread_groups(&[])?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Gives up what is no longer needed; for good.
pub fn give_up_capabilities(grader: bool) -> io::Result<()> {
    let kept = if grader { KEPT_UNDER_GRADER } else { KEPT };
    let have = rustix::thread::capabilities(None)?.permitted;
    let kept = kept & have;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

/// Does something with the rights of a user: effective user and group, no capabilities.
pub fn as_user<T>(id: u32, act: impl FnOnce() -> T) -> io::Result<T> {
    let (root, user) = (Some(Uid::ROOT), Some(Uid::from_raw(id)));
    set_thread_res_gid(None::<Gid>, Some(Gid::from_raw(id)), None::<Gid>)?;
    set_thread_res_uid(None::<Uid>, user, None::<Uid>)?;
    let done = act();
    set_thread_res_uid(None::<Uid>, root, None::<Uid>)?;
    set_thread_res_gid(None::<Gid>, Some(Gid::ROOT), None::<Gid>)?;
    Ok(done)
}

/// Becomes a user for ever. For the child between `fork` and `exec`.
pub fn become_user(id: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    Ok(set_thread_res_uid(user, user, user)?)
}
