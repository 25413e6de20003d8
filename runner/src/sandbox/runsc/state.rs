//! The runner's own folder, and the users that its sandboxes run as.
//!
//! Invariant: one process at a time has the folder; a user belongs to one sandbox at a time.

use super::RunscConfig;
use crate::sandbox::BootError;
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, Permissions},
    io,
    ops::Range,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Users from here on are given out by nobody: systemd's list of ranges ends below.
const FIRST_UID: u32 = 0x7000_0000;
/// Users of one state folder: more than a host holds sandboxes.
const UIDS: u32 = 1024;
/// Ranges from which the state folder's name chooses.
const RANGES: u32 = 4096;

/// The folder.
#[derive(Clone)]
pub struct State {
    folder: PathBuf,
    digest: [u8; 4],
    _lock: Arc<File>,
}

impl State {
    /// Makes the folder, locks it, and puts the two programs there: a sandbox's user need not reach where they come from.
    pub fn open(config: &RunscConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.state)?;
        let folder = config.state.canonicalize()?;
        let lock = File::create(folder.join("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("{} is another runner's: {error}", folder.display()),
            )
        })?;
        let hash = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        let digest = hash.first_chunk::<4>().copied().unwrap_or_default();
        let state = Self { folder, digest, _lock: Arc::new(lock) };
        for own in [state.agent_folder(), state.sandboxes(), state.skeletons(), state.folder.join("bin")] {
            fs::create_dir_all(&own)?;
            fs::set_permissions(&own, Permissions::from_mode(0o755))?;
        }
        fs::set_permissions(&state.folder, Permissions::from_mode(0o711))?;
        bring(&config.runsc, &state.runsc())?;
        bring(&config.agent, &state.agent_folder().join("alphagate-agent"))?;
        Ok(state)
    }

    /// What names this folder's cgroups.
    pub fn name(&self) -> String {
        format!("alphagate-{}", hex::encode(self.digest))
    }

    /// The copy of runsc.
    pub fn runsc(&self) -> PathBuf {
        self.folder.join("bin/runsc")
    }

    /// The folder that every sandbox sees, with the agent in it.
    pub fn agent_folder(&self) -> PathBuf {
        self.folder.join("agent")
    }

    /// Skeletons of images.
    pub fn skeletons(&self) -> PathBuf {
        self.folder.join("skeletons")
    }

    /// All sandboxes.
    pub fn sandboxes(&self) -> PathBuf {
        self.folder.join("sandboxes")
    }

    /// One sandbox.
    pub fn sandbox(&self, id: &str) -> PathBuf {
        self.sandboxes().join(id)
    }

    /// Whether a user without rights can get here.
    pub fn check_passable(&self) -> Result<(), BootError> {
        let closed =
            |folder: &&Path| fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o001 == 0);
        match self.folder.ancestors().find(closed) {
            None => Ok(()),
            Some(folder) => Err(BootError::IsolationUnavailable(format!(
                "sandboxes run as users of their own, and these cannot pass through {}: choose another state folder",
                folder.display()
            ))),
        }
    }
}

/// A copy of a program, everyone's to run. It replaces an older one in one step.
fn bring(from: &Path, to: &Path) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", from.display()));
    let new = to.with_extension("new");
    fs::copy(from, &new).map_err(named)?;
    fs::set_permissions(&new, Permissions::from_mode(0o755))?;
    fs::rename(new, to)
}

/// Users that are free.
pub struct Uids {
    free: Mutex<Vec<u32>>,
    is_root: bool,
}

/// A user, until it is dropped.
pub struct Uid {
    id: Option<u32>,
    home: Arc<Uids>,
}

impl Uids {
    /// The given range, or the state folder's own; none at all if the runner is not root.
    pub fn new(state: &State, given: Option<Range<u32>>) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let first = FIRST_UID + (u32::from_le_bytes(state.digest) % RANGES) * UIDS;
        let range = given.unwrap_or(first..first + UIDS);
        Self { free: Mutex::new(if is_root { range.rev().collect() } else { vec![] }), is_root }
    }

    /// Whether sandboxes have users of their own.
    pub const fn is_root(&self) -> bool {
        self.is_root
    }

    /// A free user.
    pub fn take(self: &Arc<Self>) -> io::Result<Uid> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let id = free.pop();
        if self.is_root && id.is_none() {
            return Err(io::Error::other("every user for sandboxes is taken"));
        }
        Ok(Uid { id, home: Arc::clone(self) })
    }
}

impl Uid {
    /// Its number; none if the sandbox runs as the runner's own user.
    pub const fn id(&self) -> Option<u32> {
        self.id
    }
}

impl Drop for Uid {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // To the far end: a user is used again as late as possible.
            self.home.free.lock().unwrap_or_else(PoisonError::into_inner).insert(0, id);
        }
    }
}
