//! What a sandbox has on the host, and how it is taken away: processes, cgroup, folder, user.
//!
//! Invariant: only what is named after a sandbox of this state folder is touched. Dropping the remains takes them away on
//! a thread of its own; burying them waits.

use super::state::{State, Uid};
use crate::sandbox::{
    PostMortem,
    cgroup::{Cgroup, Layout},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal},
};
use std::{
    collections::BTreeSet,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::chown},
    },
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};
use tokio_util::task::TaskTracker;

/// How long processes without a cgroup may take to end.
const END_MAX: Duration = Duration::from_secs(5);
/// How often to look whether they have.
const END_EVERY: Duration = Duration::from_millis(5);

/// What a sandbox has.
pub struct Remains {
    folder: PathBuf,
    uid: Option<Uid>,
    /// Its cgroup.
    pub group: Option<Cgroup>,
    /// `runsc run`.
    pub child: Option<Child>,
    buried: bool,
    burials: TaskTracker,
}

impl Remains {
    /// Nothing yet but a name and a user.
    pub const fn new(folder: PathBuf, uid: Uid, burials: TaskTracker) -> Self {
        Self { folder, uid: Some(uid), group: None, child: None, buried: false, burials }
    }

    /// Its folder: the bundle, runsc's own files, the panic log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// runsc's own files.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Who it runs as.
    pub fn user(&self) -> Option<u32> {
        self.uid.as_ref().and_then(Uid::id)
    }

    /// Makes the folder, with the bundle's configuration in it.
    pub fn make_folder(&self, config: &[u8]) -> io::Result<()> {
        fs::create_dir(&self.folder)?;
        fs::create_dir(self.root())?;
        fs::write(self.folder.join("config.json"), config)?;
        let Some(id) = self.user() else { return Ok(()) };
        for path in [&self.folder, &self.root()] {
            chown(path, Some(id), Some(id))?;
        }
        Ok(())
    }

    /// Ends its processes; what does not end at once is ended when it is buried.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
        }
        if let Some(group) = &self.group {
            group.kill();
        }
    }

    /// Whether `runsc run` is still there.
    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// What is known of its end.
    pub fn post_mortem(&mut self, stderr: String, words_bytes: usize) -> PostMortem {
        let exit = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        let panic = fs::read(self.folder.join("panic.log")).unwrap_or_default();
        let panic = panic.get(..panic.len().min(words_bytes)).unwrap_or_default();
        let panic = String::from_utf8_lossy(panic).into_owned();
        PostMortem {
            oom_killed: self.group.as_ref().is_some_and(|group| group.oom_kills() > 0),
            exit: exit.and_then(|status| status.code()),
            memory_peak_bytes: self.group.as_ref().map_or(0, Cgroup::memory_peak_bytes),
            panic_log: if panic.trim().is_empty() { stderr } else { panic },
            engine_lost: false,
        }
    }

    /// Takes everything away, and waits until it is gone.
    pub fn bury(mut self) -> io::Result<()> {
        self.take_away()
    }

    fn take_away(&mut self) -> io::Result<()> {
        self.buried = true;
        self.kill();
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        let gone = match &self.group {
            Some(group) => group.remove(),
            None => end_named(&self.folder),
        };
        let deleted = delete(&self.folder);
        self.uid = None;
        gone.and(deleted)
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.buried {
            return;
        }
        let uid = self.uid.take();
        let unfinished = Self {
            folder: std::mem::take(&mut self.folder),
            uid,
            group: self.group.take(),
            child: self.child.take(),
            buried: true,
            burials: self.burials.clone(),
        };
        let token = self.burials.token();
        thread::spawn(move || {
            let _token = token;
            let folder = unfinished.folder.clone();
            if let Err(error) = unfinished.bury() {
                tracing::warn!(%error, folder = %folder.display(), "a sandbox could not be taken away");
            }
        });
    }
}

/// Blocks until a process has ended, or for `longest`.
pub fn await_end(pidfd: &OwnedFd, longest: Duration) -> rustix::io::Result<()> {
    let longest = Timespec::try_from(longest).map_err(|_| Errno::INVAL)?;
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&longest)).map(drop)
}

fn delete(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Ends the processes whose command line names the sandbox's folder, and waits until there are none.
fn end_named(folder: &Path) -> io::Result<()> {
    let begun = Instant::now();
    let mut root = b"--root=".to_vec();
    root.extend_from_slice(folder.join("root").as_os_str().as_bytes());
    loop {
        let pids = named(&root);
        if pids.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > END_MAX {
            return Err(io::Error::other(format!("processes of {} do not end", folder.display())));
        }
        for pid in pids {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        thread::sleep(END_EVERY);
    }
}

/// Processes that have exactly this argument.
fn named(argument: &[u8]) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    let has = |pid: &Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|found| found == argument)
    };
    pids.filter(has).collect()
}

/// Takes away what an earlier process with this state folder has left; how many sandboxes.
pub fn reap(state: &State, groups: Option<&Layout>) -> io::Result<usize> {
    let folders = fs::read_dir(state.sandboxes())?.flatten();
    let mut ids: BTreeSet<String> =
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    ids.extend(groups.map(Layout::children).unwrap_or_default());
    for id in &ids {
        let folder = state.sandbox(id);
        if let Some(groups) = groups {
            let group = Cgroup::existing(groups, id);
            group.kill();
            group.remove()?;
        }
        end_named(&folder)?;
        delete(&folder)?;
    }
    Ok(ids.len())
}
