//! The job's files: placed before it starts, and those that it hands back read when it has ended.
//!
//! Invariant: both happen with the rights of user code's own user and without following a symlink, so a path can neither
//! lead out nor show what user code may not see; what is read is bounded by what a runner takes, not by a file's length.

use super::{host::Host, user};
use alphagate_agent::{
    JOB_FOLDER, JOB_UID,
    message::{ARTEFACTS_MAX_BYTES, CHUNK_MAX_BYTES, FromAgent},
};
use alphagate_contract::job::{File, FilePath};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, statat};
use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt as _},
    path::Path,
};

/// Writes the files under `folder` as `id`, readable for its owner alone if `private`.
pub fn place(folder: &str, files: &[File], id: u32, private: bool) -> io::Result<()> {
    user::as_user(id, || {
        let place = || files.iter().try_for_each(|file| place_one(Path::new(folder), file));
        if !private {
            return place();
        }
        let mask = rustix::process::umask(Mode::from(0o077));
        let placed = place();
        rustix::process::umask(mask);
        placed
    })?
}

fn place_one(folder: &Path, file: &File) -> io::Result<()> {
    let path = folder.join(file.path.as_str());
    if let Some(parent) = path.parent().filter(|parent| *parent != folder) {
        fs::create_dir_all(parent)?;
    }
    // A script can be called by its name.
    let mode = if file.content.0.starts_with(b"#!") { 0o755 } else { 0o644 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(&file.content.0)
}

/// Sends the artefacts that exist. True if something did not fit and was left out.
pub fn hand_back(paths: &[FilePath], host: &mut Host) -> io::Result<bool> {
    let (mut left, mut cut) = (ARTEFACTS_MAX_BYTES as u64, false);
    for path in paths {
        let Some((file, length)) = user::as_user(JOB_UID, || open(path))? else { continue };
        if length > left {
            cut = true;
            continue;
        }
        left -= length;
        send(path, &mut fs::File::from(file).take(length), host)?;
    }
    Ok(cut)
}

fn send(path: &FilePath, file: &mut impl io::Read, host: &mut Host) -> io::Result<()> {
    let mut first = true;
    loop {
        let mut chunk = Vec::new();
        file.by_ref().take(CHUNK_MAX_BYTES as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() && !first {
            return Ok(());
        }
        first = false;
        host.say(&FromAgent::Artefact(path.clone(), chunk));
        host.flush()?;
    }
}

/// A regular file and its length; none for whatever else the path may be, or lead through.
fn open(path: &FilePath) -> Option<(OwnedFd, u64)> {
    let folder = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = rustix::fs::open(JOB_FOLDER, folder, Mode::empty()).ok()?;
    let (parents, name) =
        path.as_str().rsplit_once('/').map_or((None, path.as_str()), |(parents, name)| (Some(parents), name));
    for part in parents.into_iter().flat_map(|parents| parents.split('/')) {
        // Looked at first: gVisor follows a symlink here in spite of NOFOLLOW. Nobody is left who could change it meanwhile.
        let found = statat(&at, part, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            return None;
        }
        at = openat(&at, part, folder, Mode::empty()).ok()?;
    }
    // NONBLOCK: a pipe that nobody writes to must not hold us.
    let file = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&at, name, file, Mode::empty()).ok()?;
    let found = fstat(&file).ok()?;
    let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    is_file.then_some((file, u64::try_from(found.st_size).unwrap_or(u64::MAX)))
}
