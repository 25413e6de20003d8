//! Copies of whole folders, and folders that several processes make at the same time.
//!
//! Invariant: a folder that exists under its final name is complete.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::account::Account;

/// Copies a folder with its modes, and gives every copy to the account.
pub(super) fn copy(from: &Path, to: &Path, account: Account) -> Result<()> {
    let copied = || -> Result<()> {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type()?;
            if kind.is_dir() {
                copy(&source, &target, account)?;
            } else if kind.is_symlink() {
                symlink(fs::read_link(&source)?, &target)?;
            } else {
                fs::copy(&source, &target)?;
                account.own(&target)?;
            }
        }
        // Last, because a mode may close the folder.
        fs::set_permissions(to, from.metadata()?.permissions())?;
        account.own(to)
    };
    copied().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Makes `folder` once: `make` fills a folder beside it, which then takes its name. Blocks while another
/// process makes it.
pub(super) fn make_once(folder: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let lock = File::create(beside(folder, "lock"))?;
    lock.lock().with_context(|| format!("cannot lock {}", folder.display()))?;
    if folder.exists() {
        return Ok(());
    }
    let draft = beside(folder, "draft");
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    make(&draft)?;
    fs::rename(&draft, folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// `folder.suffix`, whatever dots the folder's name has.
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
