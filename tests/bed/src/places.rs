//! Where things lie: the checkout, cargo's target folder, npm's binaries, and folders for data.
//!
//! Invariant: everything a bed writes is below cargo's target folder or in a folder that `DataDir` made.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::statvfs;

use crate::at_exit::AtExit;

/// Folders are open for passing through, because Postgres may run under a user id of its own; files with
/// secrets are closed one by one.
const FOLDER_MODE: u32 = 0o755;
const LOCK_NAME: &str = "bed.lock";

/// The root of the checkout.
pub fn workspace() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = here.canonicalize().context("the checkout that this was built from has moved")?;
    let root = here.ancestors().nth(2).context("tests/bed has no workspace above it")?;
    Ok(root.to_owned())
}

/// Cargo's target folder: the one this program was built into, else the workspace's.
pub fn target() -> Result<PathBuf> {
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        return Ok(workspace()?.join(target));
    }
    Ok(workspace()?.join("target"))
}

/// The built Worker: where wrangler.toml looks for it, whatever cargo's target folder is.
pub fn worker() -> Result<PathBuf> {
    Ok(workspace()?.join("target/worker"))
}

/// npm's node, new enough for Miniflare whatever the system has.
pub fn node() -> Result<PathBuf> {
    npm_binary("node")
}

/// A command that an npm package brought.
pub fn npm_binary(name: &str) -> Result<PathBuf> {
    let path = workspace()?.join("node_modules/.bin").join(name);
    if !path.exists() {
        bail!("{} is missing: run `npm ci` or any `cargo xtask` command", path.display());
    }
    Ok(path)
}

/// A temporary folder, removed when this is dropped or the process ends.
#[derive(Debug)]
pub struct Scratch(DataDir);

/// Where Linux keeps files in memory.
const IN_MEMORY: &str = "/dev/shm";

impl Scratch {
    /// Makes one.
    pub fn new() -> Result<Self> {
        DataDir::temporary().map(Self)
    }

    /// Makes one in memory, where the machine has so many bytes of it for files; else like any other.
    pub fn in_memory(bytes: u64) -> Result<Self> {
        let memory = Path::new(IN_MEMORY);
        let has_room =
            statvfs(memory).is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) >= bytes);
        let made = has_room.then(|| DataDir::temporary_in(memory).ok()).flatten();
        made.map_or_else(Self::new, |made| Ok(Self(made)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

/// A folder for one bed's data, locked as long as the bed lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    pub(crate) path: PathBuf,
    pub(crate) persistent: bool,
    _lock: File,
    _removal: Option<AtExit>,
}

impl DataDir {
    /// A folder that stays, for `cargo xtask up`. Only one bed may use it at a time.
    pub(crate) fn persistent(path: &Path) -> Result<Self> {
        make_folder(path)?;
        let Some(lock) = lock(&path.join(LOCK_NAME))? else {
            bail!("{} is in use by another bed", path.display());
        };
        Ok(Self { path: path.to_owned(), persistent: true, _lock: lock, _removal: None })
    }

    /// A folder that goes with the bed, after clearing away what killed beds left.
    pub(crate) fn temporary() -> Result<Self> {
        Self::temporary_in(&env::temp_dir())
    }

    fn temporary_in(below: &Path) -> Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let root = below.join(format!("alphagate-beds-{uid}"));
        make_shared_root(&root)?;
        // Held while a folder exists that is not locked yet, so that no sweep takes it away.
        let gate = File::create(root.join("sweep.lock"))?;
        gate.lock().context("cannot lock the folder of beds")?;
        sweep(&root)?;
        let path = root.join(hex::encode(rand::random::<[u8; 6]>()));
        make_folder(&path)?;
        let lock = lock(&path.join(LOCK_NAME))?.context("a new folder is locked already")?;
        let removal = AtExit::new({
            let path = path.clone();
            move || {
                let _ = fs::remove_dir_all(path);
            }
        });
        Ok(Self { path, persistent: false, _lock: lock, _removal: Some(removal) })
    }

    /// Where the named child logs to.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.log"))
    }
}

/// Removes the folders of beds whose process is gone: their lock can be had.
fn sweep(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let abandoned = path.is_dir() && matches!(lock(&path.join(LOCK_NAME)), Ok(Some(_)));
        if abandoned {
            let _ = fs::remove_dir_all(path);
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<Option<File>> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock a bed's folder"),
    }
}

/// Makes a folder that others may pass through, whatever the umask says.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    let make = || {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE))
    };
    make().with_context(|| format!("cannot make {}", path.display()))
}

/// Makes a folder of a fixed name where anybody may make one, and refuses what somebody else put there.
pub(crate) fn make_shared_root(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let there = fs::symlink_metadata(path)?;
    if !there.is_dir() || there.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} belongs to somebody else", path.display());
    }
    make_folder(path)
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    const SECRET_MODE: u32 = 0o600;
    let write = || {
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(SECRET_MODE).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
