//! The profiles: where control is and as whom to call it, in a file that only its owner can read.
//!
//! `$XDG_CONFIG_HOME/alphagate/config.toml`, else `~/.config/alphagate/config.toml`. A file that others can read is
//! refused, as ssh does it; a new one is written beside the old one and renamed over it.

use crate::failure::Failure;
use alphagate_contract::secret::{Secret, in_clear};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env, fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// The profile's name if none is given.
pub(crate) const PROFILE_DEFAULT: &str = "default";
/// Only the owner may pass through the folder.
const FOLDER_MODE: u32 = 0o700;
/// What of a file's mode lets others in.
const OTHERS: u32 = 0o077;

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The profile that is used if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By their names.
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

/// One place to call, and as whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// Control.
    pub(crate) url: String,
    /// Where consumers call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) edge_url: Option<String>,
    /// The bearer.
    #[serde(with = "in_clear")]
    pub(crate) bearer: Secret<String>,
    /// The org, where the bearer can act for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) org: Option<String>,
}

impl Config {
    /// The file's path.
    pub(crate) fn path() -> Result<PathBuf, Failure> {
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder =
            absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        let folder = folder.ok_or_else(|| {
            Failure::said("neither XDG_CONFIG_HOME nor HOME is set, so there is no place for profiles")
        })?;
        Ok(folder.join("alphagate/config.toml"))
    }

    /// What is in the file; nothing if there is none.
    pub(crate) fn read() -> Result<Self, Failure> {
        let Ok(path) = Self::path() else { return Ok(Self::default()) };
        Self::read_from(&path)
    }

    fn read_from(path: &Path) -> Result<Self, Failure> {
        let Ok(known) = fs::metadata(path) else { return Ok(Self::default()) };
        let shown = path.display();
        let mode = known.permissions().mode();
        if mode & OTHERS != 0 {
            let message = format!("{shown} holds keys, and others can read it (mode {:03o})", mode & 0o777);
            return Err(Failure::said(message).hint(format!("chmod 600 {shown}")));
        }
        let text = fs::read_to_string(path).map_err(|error| Failure::said(format!("{shown}: {error}")))?;
        // The error's own text would quote the line, and a line may be a key.
        toml::from_str(&text)
            .map_err(|error| Failure::said(format!("{shown} cannot be read: {}", error.message())))
    }

    /// Writes the file.
    pub(crate) fn write(&self) -> Result<PathBuf, Failure> {
        let path = Self::path()?;
        self.write_to(&path)?;
        Ok(path)
    }

    fn write_to(&self, path: &Path) -> Result<(), Failure> {
        let text = toml::to_string(self).map_err(|error| Failure::said(error.to_string()))?;
        let write = || {
            let folder = path.parent().unwrap_or(path);
            fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
            // A temporary file has mode 600 from its first moment.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(path).map_err(|error| error.error)?;
            std::io::Result::Ok(())
        };
        write().map_err(|error| Failure::said(format!("{} cannot be written: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        let bearer = Secret::new("ag_live_secret".into());
        Profile { url: "http://127.0.0.1:1".into(), edge_url: None, bearer, org: None }
    }

    #[test]
    fn what_is_written_is_read_again_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alphagate/config.toml");
        assert!(Config::read_from(&path).unwrap().profiles.is_empty());
        let mut config = Config { current: Some("a".into()), ..Config::default() };
        config.profiles.insert("a".into(), profile());
        config.write_to(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Config::read_from(&path).unwrap().profiles["a"].bearer.reveal(), "ag_live_secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Config::read_from(&path).unwrap_err().text();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn a_file_that_cannot_be_read_shows_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "bearer = ag_live_secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = Config::read_from(&path).unwrap_err().text();
        assert!(!refused.contains("ag_live_secret"), "{refused}");
        assert!(!format!("{:?}", profile()).contains("ag_live_secret"));
    }
}
