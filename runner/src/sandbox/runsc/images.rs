//! Root file systems: folders of the host that a sandbox sees read-only, under an empty skeleton of our own.
//!
//! `host` is the host's own `/usr`, for development. Any other image is `<images>/<name>/rootfs`, unpacked, with its
//! SHA-256 beside it in `<images>/<name>/digest`. Invariant: an image is never written to; mount points are the
//! skeleton's.

use super::bundle::Shown;
use crate::sandbox::BootError;
use alphagate_agent::MOUNT_POINTS;
use alphagate_contract::job::ImageName;
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

/// The image that is the host's own `/usr`.
pub const HOST: &str = "host";
/// Top-level folders of an image that a sandbox has its own of, or has no use for.
const LEFT_OUT: [&str; 14] = [
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "job",
    ".alphagate",
    "boot",
    "mnt",
    "media",
    "srv",
    "home",
    "root",
    "lost+found",
];
/// Longest name of an image.
const NAME_MAX_LEN: usize = 32;
/// Who the sandbox's users are, where the image is the host: its own file names the host's people.
const PASSWD: &str = "root:x:0:0::/:/bin/false\ncandidate:x:65533:65533::/run/candidate:/bin/false\nnobody:x:65534:65534::/job:/bin/false\n";
const GROUP: &str = "root:x:0:\ncandidate:x:65533:\nnogroup:x:65534:\n";

/// What a sandbox of an image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its root: folders to mount on, and symlinks.
    pub skeleton: PathBuf,
    /// What is mounted there.
    pub shown: Vec<Shown>,
    /// Its SHA-256, hex, or `host`.
    pub digest: String,
}

/// The images of this host.
pub struct Images {
    store: PathBuf,
    skeletons: PathBuf,
    pins: BTreeMap<ImageName, String>,
}

fn missing(message: String) -> BootError {
    BootError::ImageUnavailable(message)
}

impl Images {
    /// Images in `store`; skeletons go to `skeletons`; an image with a pin must have that digest.
    pub const fn new(store: PathBuf, skeletons: PathBuf, pins: BTreeMap<ImageName, String>) -> Self {
        Self { store, skeletons, pins }
    }

    /// Those that can be booted.
    pub fn names(&self) -> Vec<ImageName> {
        let entries = fs::read_dir(&self.store).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<ImageName> =
            names.filter(|name| self.digest(name).is_ok()).chain([HOST.to_owned()]).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The digest of an image that is here and is what it should be.
    fn digest(&self, name: &str) -> Result<String, BootError> {
        if name == HOST {
            return Ok(HOST.to_owned());
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NAME_MAX_LEN || !name.bytes().all(plain) {
            return Err(missing(format!("{name:?} is no name of an image")));
        }
        let folder = self.store.join(name);
        let digest = fs::read_to_string(folder.join("digest"))
            .map_err(|error| missing(format!("the image {name:?} is not on this host: {error}")))?;
        let digest = digest.trim();
        let digest = digest.strip_prefix("sha256:").unwrap_or(digest).to_owned();
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing(format!("the image {name:?} has no SHA-256 beside it")));
        }
        if let Some(pin) = self.pins.get(name).filter(|pin| **pin != digest) {
            return Err(missing(format!("the image {name:?} is {digest}, and must be {pin}")));
        }
        if !folder.join("rootfs").is_dir() {
            return Err(missing(format!("the image {name:?} is not unpacked")));
        }
        Ok(digest)
    }

    /// An image, ready to be booted.
    pub fn find(&self, name: &str) -> Result<Image, BootError> {
        let digest = self.digest(name)?;
        let made = || -> io::Result<Image> {
            let root = if name == HOST { PathBuf::from("/") } else { self.store.join(name).join("rootfs") };
            let root = root.canonicalize()?;
            let skeleton = self.skeletons.join(name);
            let shown = lay_out(&root, &skeleton, name == HOST)?;
            Ok(Image { skeleton, shown, digest })
        };
        made().map_err(|error| missing(format!("the image {name:?}: {error}")))
    }
}

/// Makes the skeleton of a root, and says what is mounted on it.
fn lay_out(root: &Path, skeleton: &Path, is_host: bool) -> io::Result<Vec<Shown>> {
    for point in MOUNT_POINTS {
        fs::create_dir_all(skeleton.join(point))?;
    }
    fs::set_permissions(skeleton, fs::Permissions::from_mode(0o755))?;
    let mut shown = Vec::new();
    for entry in fs::read_dir(root)?.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (kind, own) = (entry.file_type()?, skeleton.join(&name));
        if kind.is_symlink() {
            match symlink(fs::read_link(entry.path())?, own) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        } else if kind.is_dir() && is_shown(&name, is_host) {
            fs::create_dir_all(own)?;
            shown.push(Shown { source: entry.path(), place: format!("/{name}") });
        }
    }
    if is_host {
        fs::create_dir_all(skeleton.join("etc"))?;
        fs::write(skeleton.join("etc/passwd"), PASSWD)?;
        fs::write(skeleton.join("etc/group"), GROUP)?;
    }
    shown.sort_by(|left, right| left.place.cmp(&right.place));
    Ok(shown)
}

fn is_shown(name: &str, is_host: bool) -> bool {
    let of_host = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
    if is_host { of_host.contains(&name) } else { !LEFT_OUT.contains(&name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(digest: &str) -> (tempfile::TempDir, Images) {
        let store = tempfile::tempdir().unwrap();
        let rootfs = store.path().join("images/minimal/rootfs");
        for folder in ["usr/bin", "etc", "proc", "root"] {
            fs::create_dir_all(rootfs.join(folder)).unwrap();
        }
        symlink("usr/bin", rootfs.join("bin")).unwrap();
        fs::write(store.path().join("images/minimal/digest"), digest).unwrap();
        let pins = [("minimal".to_owned(), "a".repeat(64))].into();
        let images = Images::new(store.path().join("images"), store.path().join("skeletons"), pins);
        (store, images)
    }

    #[test]
    fn an_image_is_shown_folder_by_folder_and_never_written_to() {
        let (_store, images) = store(&format!("sha256:{}\n", "a".repeat(64)));
        let image = images.find("minimal").unwrap();
        let places: Vec<_> = image.shown.iter().map(|shown| shown.place.as_str()).collect();
        assert_eq!(places, ["/etc", "/usr"]);
        assert_eq!(fs::read_link(image.skeleton.join("bin")).unwrap(), Path::new("usr/bin"));
        assert_eq!(images.names(), ["host", "minimal"]);
        assert_eq!(images.find("minimal").unwrap(), image);
    }

    #[test]
    fn an_image_that_is_missing_or_not_what_it_should_be_is_refused() {
        let (_store, images) = store(&"b".repeat(64));
        for name in ["minimal", "other", "../minimal", "", "Minimal"] {
            assert!(matches!(images.find(name), Err(BootError::ImageUnavailable(_))), "{name}");
        }
        let (_store, images) = store("none");
        assert!(images.find("minimal").is_err());
    }
}
