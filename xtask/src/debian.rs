//! Debian packages, unpacked without dpkg and without root: an `ar` archive with a `data.tar.xz`.
//!
//! Invariant: nothing is written outside the folder, no maintainer script runs, and what comes out has plain modes:
//! 755 for folders and programs, 644 for the rest, no set-user-id bit, owned by whoever unpacks.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use tar::{Archive, Entry, EntryType};

/// Folders that are links into `usr` since Debian merged them; packages still name them both ways.
pub(crate) const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];
const EXECUTABLE: u32 = 0o111;

/// Writes a package's files below `root`: those whose path `wanted` takes.
pub(crate) fn unpack(package: &Path, root: &Path, wanted: impl Fn(&Path) -> bool) -> Result<()> {
    let work = || -> Result<()> {
        let mut ar = ar::Archive::new(File::open(package)?);
        while let Some(member) = ar.next_entry() {
            let member = member?;
            match member.header().identifier() {
                b"data.tar.xz" => return unpack_tar(member, root, &wanted),
                name if name.starts_with(b"data.tar") => bail!("its data is not compressed by xz"),
                _ => {}
            }
        }
        bail!("it has no data")
    };
    work().with_context(|| format!("cannot unpack {}", package.display()))
}

fn unpack_tar(data: impl Read, root: &Path, wanted: impl Fn(&Path) -> bool) -> Result<()> {
    let mut tar = Archive::new(lzma_rust2::XzReader::new(data, true));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = inside(&entry.path()?)?;
        if path.as_os_str().is_empty() || !wanted(&path) {
            continue;
        }
        write(&mut entry, root, &path).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// A path of an archive as a path below the root, through no link of ours and never out of it.
fn inside(path: &Path) -> Result<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => plain.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => bail!("{} leads out", path.display()),
        }
    }
    let merged = MERGED.iter().any(|folder| plain.starts_with(folder));
    Ok(if merged { Path::new("usr").join(plain) } else { plain })
}

fn write(entry: &mut Entry<'_, impl Read>, root: &Path, path: &Path) -> Result<()> {
    let target = root.join(path);
    match entry.header().entry_type() {
        EntryType::Directory => make_folder(root, path)?,
        EntryType::Regular | EntryType::Continuous => {
            make_way(root, path)?;
            let mut file = File::create(&target)?;
            io::copy(entry, &mut file)?;
            let mode = if entry.header().mode()? & EXECUTABLE != 0 { 0o755 } else { 0o644 };
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        EntryType::Symlink => {
            make_way(root, path)?;
            symlink(entry.link_name()?.context("a link to nothing")?, &target)?;
        }
        EntryType::Link => {
            make_way(root, path)?;
            fs::copy(root.join(inside(&entry.link_name()?.context("a link to nothing")?)?), &target)?;
        }
        other => bail!("an entry of kind {other:?}"),
    }
    Ok(())
}

/// Makes the folders above a path, and room for it.
fn make_way(root: &Path, path: &Path) -> Result<()> {
    make_folder(root, path.parent().unwrap_or(Path::new("")))?;
    match fs::remove_file(root.join(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a folder; a link on the way to it would lead somewhere else.
fn make_folder(root: &Path, path: &Path) -> Result<()> {
    let mut folder = root.to_owned();
    for part in path.components() {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(meta) if meta.is_dir() => continue,
            Ok(_) => bail!("{} is in the way", folder.display()),
            Err(_) => {
                fs::create_dir(&folder)?;
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_root_and_merged_folders_are_below_usr() {
        let cases =
            [("./bin/sh", "usr/bin/sh"), ("./etc/x", "etc/x"), ("/lib64/l", "usr/lib64/l"), ("./", "")];
        for (path, plain) in cases {
            assert_eq!(inside(Path::new(path)).unwrap(), Path::new(plain), "{path}");
        }
        assert!(inside(Path::new("./a/../../b")).is_err());
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let root = alphagate_bed::Scratch::new().unwrap();
        let elsewhere = alphagate_bed::Scratch::new().unwrap();
        symlink(elsewhere.path(), root.path().join("a")).unwrap();
        assert!(make_way(root.path(), Path::new("a/b")).is_err());
        assert!(make_folder(root.path(), Path::new("a")).is_err());
    }
}
