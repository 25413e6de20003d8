//! Who runs Postgres: the user itself, but never root, which Postgres refuses.
//!
//! Invariant: as root, every folder on the way to the binaries and the data can be passed by that account.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::places;

/// The account of initdb as root: it wants one with a name, and is done before anything else runs under it.
const NAMED: [&str; 2] = ["nobody", "daemon"];
/// A user id that no distribution hands out (system users end at 999, people start at 1000, containers'
/// subordinate ids start at 100000) and that nothing else of ours uses.
const POSTGRES_UID: u32 = 64_123;
const OTHERS_MAY_PASS: u32 = 0o001;

/// The account Postgres runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// `None`: our own.
    pub(super) uid: Option<u32>,
}

impl Account {
    pub(super) fn of_this_process() -> Self {
        let root = rustix::process::geteuid().is_root();
        Self { uid: root.then_some(POSTGRES_UID) }
    }

    /// Who makes the first data folder: initdb looks its user up by name, the server does not.
    pub(super) fn of_initdb(self) -> Result<Self> {
        if self.uid.is_none() {
            return Ok(self);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read the users of this machine")?;
        let uid_of = |wanted: &str| {
            let mut found = users.lines().map(|line| line.split(':')).filter_map(|mut fields| {
                (fields.next() == Some(wanted)).then(|| fields.nth(1)?.parse::<u32>().ok()).flatten()
            });
            found.next()
        };
        let uid = NAMED.iter().find_map(|name| uid_of(name));
        Ok(Self { uid: Some(uid.context("there is neither a user nobody nor a user daemon")?) })
    }

    /// Part of the name of everything made for this account.
    pub(super) fn label(self) -> String {
        self.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw()).to_string()
    }

    pub(super) fn own(self, path: &Path) -> Result<()> {
        match self.uid {
            Some(uid) => chown(path, Some(uid), Some(uid))
                .with_context(|| format!("cannot give {} to user {uid}", path.display())),
            None => Ok(()),
        }
    }

    /// `wanted`, or a folder that stands in for it when the account cannot get there (a checkout below /root).
    pub(super) fn reachable(self, wanted: &Path) -> Result<PathBuf> {
        let first = wanted.ancestors().find(|path| path.exists()).unwrap_or(wanted);
        if self.can_pass(&first.canonicalize()?) {
            return Ok(wanted.to_owned());
        }
        let name = hex::encode(Sha256::digest(wanted.as_os_str().as_encoded_bytes()));
        let name = format!("alphagate-{}", name.get(..12).unwrap_or(&name));
        let roots = [PathBuf::from("/var/tmp"), env::temp_dir(), PathBuf::from("/tmp")];
        for root in roots {
            if root.is_dir() && self.can_pass(&root.canonicalize()?) {
                let stand_in = root.join(&name);
                places::make_shared_root(&stand_in)?;
                return Ok(stand_in);
            }
        }
        bail!(
            "Postgres, as user {POSTGRES_UID}, can reach neither {} nor a folder for temporary files",
            wanted.display()
        )
    }

    fn can_pass(self, path: &Path) -> bool {
        let Some(uid) = self.uid else { return true };
        path.ancestors().all(|folder| {
            folder.metadata().is_ok_and(|data| data.mode() & OTHERS_MAY_PASS != 0 || data.uid() == uid)
        })
    }
}
