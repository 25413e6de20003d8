//! The two calls that have no safe wrapper: reading the kernel's boot message, and acting between `fork` and `exec`.
#![expect(unsafe_code, reason = "neither rustix nor std offers them")]

use std::{io, os::unix::process::CommandExt as _, process::Command};

/// `SYSLOG_ACTION_READ_ALL`.
const READ_ALL: libc::c_int = 3;
/// gVisor's whole boot message has some 600 bytes.
const BOOT_MESSAGE_MAX_BYTES: usize = 2048;

/// The first line of the kernel's log without its time; empty where it may not be read.
pub fn boot_message() -> String {
    let mut buffer = vec![0_u8; BOOT_MESSAGE_MAX_BYTES];
    let length = libc::c_int::try_from(buffer.len()).unwrap_or(0);
    // SAFETY: the buffer is ours and as long as we say.
    let read = unsafe { libc::klogctl(READ_ALL, buffer.as_mut_ptr().cast(), length) };
    buffer.truncate(usize::try_from(read).unwrap_or(0));
    let text = String::from_utf8_lossy(&buffer);
    let line = text.lines().next().unwrap_or_default();
    line.rsplit_once("] ").map_or(line, |(_, message)| message).to_owned()
}

/// Has `act` run in the child, just before the program. It must only make system calls: the agent has one thread, so
/// nothing is locked, but it must not rely on more than that.
pub fn before_exec(command: &mut Command, act: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the agent has one thread; `act` makes system calls on values that were made before the fork.
    unsafe { command.pre_exec(act) };
}

/// Makes `target` a copy of `source` that survives `exec`. For the child only: what `target` was is closed.
pub fn hand_over(source: i32, target: i32) -> io::Result<()> {
    // SAFETY: plain numbers; the caller is about to become another program.
    if unsafe { libc::dup2(source, target) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
