//! Starting a sandbox's process: in its cgroups before its first instruction, as a user of its own, and with this
//! runner's death as its own.
//!
//! It starts inside the user namespace that a rootless runsc asks for. Without it runsc makes one by itself, starts its own
//! program in it a second time, and waits for that as long as the sandbox lives.
//!
//! The kernel ties that death to the *thread* that started the process, so one thread starts all of them and ends with
//! the program.
#![expect(unsafe_code, reason = "what happens between fork and exec has no safe wrapper")]

use rustix::{
    process::{DumpableBehavior, Gid, Pid, PidfdFlags, Resource, Rlimit, Signal, Uid},
    thread::UnshareFlags,
};
use std::{
    fs::File,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a program may be busy.
const BUSY_MAX: Duration = Duration::from_secs(2);
/// How often to try again.
const BUSY_EVERY: Duration = Duration::from_millis(5);

/// What is to be started.
pub struct Start {
    /// The program and its arguments; its environment is empty.
    pub argv: Vec<std::ffi::OsString>,
    /// The user and group that it becomes; none to stay who we are.
    pub user: Option<u32>,
    /// Where it enters its cgroups.
    pub doors: Vec<File>,
}

/// A started process.
pub struct Started {
    /// It, with its three pipes.
    pub child: Child,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
}

type Order = (Start, oneshot::Sender<io::Result<Started>>);

/// The thread that starts processes.
#[derive(Clone)]
pub struct Spawner {
    orders: mpsc::Sender<Order>,
}

impl Spawner {
    /// Starts the thread. It lives until the last `Spawner` is gone: keep one for the whole life of the program.
    pub fn new() -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::Builder::new().name("sandbox-spawner".to_owned()).spawn(move || {
            for (start, answer) in inbox {
                if let Err(Ok(started)) = answer.send(spawn(start)) {
                    discard(started);
                }
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts a process.
    pub async fn spawn(&self, start: Start) -> io::Result<Started> {
        let (answer, started) = oneshot::channel();
        let gone = || io::Error::other("the spawner thread is gone");
        self.orders.send((start, answer)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// Nobody waits for it any more.
fn discard(mut started: Started) {
    // It may have ended by itself.
    let _ = started.child.kill();
    let _ = started.child.wait();
}

fn spawn(start: Start) -> io::Result<Started> {
    let (program, arguments) = start.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (user, doors) = (start.user, start.doors);
    // SAFETY: system calls only, on values made before the fork.
    unsafe { command.pre_exec(move || enter(&doors, user)) };
    let mut child = spawn_when_free(&mut command)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(pidfd) => Ok(Started { child, pidfd }),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error.into())
        }
    }
}

/// A program that has just been copied is «busy» while a process that was forked meanwhile still has the copier's
/// descriptor; that passes with its `exec`.
fn spawn_when_free(command: &mut Command) -> io::Result<Child> {
    let begun = Instant::now();
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && begun.elapsed() < BUSY_MAX => {
                thread::sleep(BUSY_EVERY);
            }
            other => return other,
        }
    }
}

fn enter(doors: &[File], user: Option<u32>) -> io::Result<()> {
    for mut door in doors {
        // `0` is whoever writes.
        door.write_all(b"0")?;
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)?;
    // A group of its own: a terminal's Ctrl-C is for the runner, which then ends its sandboxes itself.
    rustix::process::setpgid(None, None)?;
    if let Some(id) = user {
        let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    // Where that is not allowed, runsc says so better than we can.
    let _ = become_root_of_nothing();
    // Last: a change of user forgets it.
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Enters a user namespace in which we are root, and nobody else is anybody; and a mount namespace that belongs to it.
fn become_root_of_nothing() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: we are the child of a fork: one thread, and no descriptor table that anyone shares.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)? };
    // Else the files below belong to the real root. The program that follows decides anew.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    // The kernel lets an unprivileged process map its group only once it has given up choosing groups.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}
