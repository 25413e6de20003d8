//! Root file systems on disk: `<store>/<name>/rootfs`, and beside it `digest`, the SHA-256 of what is in it.
//!
//! Invariant: an image is used only if its content has the digest that is written beside it (R12). The digest covers
//! every path, its kind, whether it is executable, and its bytes or its link; not owners, times or the order on disk.

use alphagate_contract::job::ImageName;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

/// Longest name, characters.
const NAME_MAX_LEN: usize = 32;
/// Read at once when a file is digested: large enough that system calls do not count.
const READ_BYTES: usize = 256 * 1024;
/// Any of the three bits makes a file executable.
const EXECUTABLE: u32 = 0o111;

/// A root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: ImageName,
    /// The folder that becomes `/`.
    pub rootfs: PathBuf,
    /// What its content is said to be: SHA-256, hex.
    pub digest: String,
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is none of this name, or it is not whole.
    #[error("image `{name}` is not in {}: {why}", .store.display())]
    Missing {
        /// The name.
        name: String,
        /// Where it was looked for.
        store: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// Somebody changed it.
    #[error(
        "image `{name}` is not what it should be: its content has digest {found}, {wanted} is written beside it"
    )]
    Changed {
        /// The name.
        name: String,
        /// What is written beside it.
        wanted: String,
        /// What its content has.
        found: String,
    },
}

/// A folder of images.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in a folder, which need not exist.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Names of all images, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<ImageName> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<ImageName> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| self.find(name).is_ok())
            .collect();
        names.sort();
        names
    }

    /// An image and the digest that is written beside it; its content is not read.
    pub fn find(&self, name: &str) -> Result<Image, ImageError> {
        let missing = |why| ImageError::Missing { name: name.to_owned(), store: self.folder.clone(), why };
        if !is_name(name) {
            return Err(missing(io::Error::new(io::ErrorKind::InvalidInput, "not a name of an image")));
        }
        let home = self.folder.join(name);
        let digest = fs::read_to_string(home.join("digest")).map_err(missing)?.trim().to_owned();
        let rootfs = home.join("rootfs");
        if !rootfs.is_dir() {
            return Err(missing(io::Error::new(io::ErrorKind::NotFound, "it has no folder `rootfs`")));
        }
        Ok(Image { name: name.to_owned(), rootfs, digest })
    }

    /// Reads all of an image and compares: a second or two for each gigabyte.
    pub fn verify(&self, name: &str) -> Result<Image, ImageError> {
        let image = self.find(name)?;
        let found = digest(&image.rootfs).map_err(|why| ImageError::Missing {
            name: name.to_owned(),
            store: self.folder.clone(),
            why,
        })?;
        if found != image.digest {
            return Err(ImageError::Changed { name: image.name, wanted: image.digest, found });
        }
        Ok(image)
    }
}

/// Whether a text can be an image's name: lower-case letters, digits and `-`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    (1..=NAME_MAX_LEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The digest of a folder's content.
pub fn digest(folder: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    add_folder(&mut hash, folder, Path::new(""))?;
    Ok(hex::encode(hash.finalize()))
}

fn add_folder(hash: &mut Sha256, root: &Path, relative: &Path) -> io::Result<()> {
    let mut names = fs::read_dir(root.join(relative))?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let relative = relative.join(name);
        let path = root.join(&relative);
        let meta = fs::symlink_metadata(&path)?;
        if meta.is_symlink() {
            add_field(hash, b"link", &relative);
            add_field(hash, b"to", &fs::read_link(&path)?);
        } else if meta.is_dir() {
            add_field(hash, b"folder", &relative);
            add_folder(hash, root, &relative)?;
        } else if meta.is_file() {
            let executable = meta.permissions().mode() & EXECUTABLE != 0;
            add_field(hash, if executable { b"program" } else { b"file" }, &relative);
            hash.update(file_digest(&path)?);
        } else {
            let what = format!("{} is neither a file, a folder nor a link", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    }
    Ok(())
}

/// A word and a path, so that no two sequences of entries read the same: paths have no NUL.
fn add_field(hash: &mut Sha256, word: &[u8], path: &Path) {
    hash.update(word);
    hash.update(b"\0");
    hash.update(path.as_os_str().as_bytes());
    hash.update(b"\0");
}

fn file_digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; READ_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn image() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let rootfs = folder.path().join("tiny/rootfs");
        fs::create_dir_all(rootfs.join("usr/bin")).unwrap();
        symlink("usr/bin", rootfs.join("bin")).unwrap();
        fs::write(rootfs.join("usr/bin/sh"), "#!").unwrap();
        fs::set_permissions(rootfs.join("usr/bin/sh"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(rootfs.join("file"), "text").unwrap();
        fs::write(folder.path().join("tiny/digest"), format!("{}\n", digest(&rootfs).unwrap())).unwrap();
        let store = Store::new(folder.path().to_owned());
        (folder, store)
    }

    #[test]
    fn an_untouched_image_is_verified_and_listed() {
        let (_folder, store) = image();
        assert_eq!(store.names(), ["tiny"]);
        assert_eq!(store.verify("tiny").unwrap(), store.find("tiny").unwrap());
    }

    #[test]
    fn any_change_of_its_content_is_found() {
        type Change = fn(&Path) -> io::Result<()>;
        let changes: [(&str, Change); 6] = [
            ("other bytes", |rootfs| fs::write(rootfs.join("file"), "texT")),
            ("another file", |rootfs| fs::write(rootfs.join("new"), "")),
            ("a file less", |rootfs| fs::remove_file(rootfs.join("file"))),
            ("not executable", |rootfs| {
                fs::set_permissions(rootfs.join("usr/bin/sh"), fs::Permissions::from_mode(0o644))
            }),
            ("another link", |rootfs| {
                fs::remove_file(rootfs.join("bin"))?;
                symlink("/usr/bin", rootfs.join("bin"))
            }),
            ("an empty folder", |rootfs| fs::create_dir(rootfs.join("empty"))),
        ];
        for (what, change) in changes {
            let (folder, store) = image();
            change(&folder.path().join("tiny/rootfs")).unwrap();
            assert!(matches!(store.verify("tiny"), Err(ImageError::Changed { .. })), "{what}");
        }
    }

    #[test]
    fn names_that_are_paths_or_unknown_are_refused() {
        let (_folder, store) = image();
        for name in ["", ".", "..", "../tiny", "tiny/rootfs", "Tiny", "other", &"x".repeat(33)] {
            assert!(matches!(store.find(name), Err(ImageError::Missing { .. })), "{name}");
        }
    }
}
