//! The name of an endpoint or install: what callers put into `model`.
//!
//! Lower-case letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 64 characters. `@`
//! and `/` are never part of a name: they are kept for `name@version` and for paths.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Longest name, in characters; long enough for words, short enough for a KV key.
pub const NAME_MAX_LEN: usize = 64;

/// The text cannot be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 64 characters of a-z, 0-9, `-`, `_` or `.`, and starts with a letter or digit")]
pub struct NameError;

/// An org's own name for an endpoint: its own one or an install.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,63}$", example = "haiku"))]
pub struct EndpointName(String);

impl EndpointName {
    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EndpointName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let word = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
        let fits = text.len() <= NAME_MAX_LEN
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|b| word(b) || matches!(b, b'-' | b'_' | b'.'));
        fits.then(|| Self(text.to_owned())).ok_or(NameError)
    }
}

impl TryFrom<String> for EndpointName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<EndpointName> for String {
    fn from(name: EndpointName) -> Self {
        name.0
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An endpoint by its name, or one version of it: `name` or `name@version`. Ordinary callers write names only; the keys
/// of runs may say the version, so that one can be tested before it is live.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionedName {
    /// The name.
    pub name: EndpointName,
    /// The version's number; none: the one that is live or pinned.
    pub version: Option<u32>,
}

impl FromStr for VersionedName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((name, number)) = text.split_once('@') else {
            return Ok(Self { name: text.parse()?, version: None });
        };
        let version = number.parse().map_err(|_| NameError)?;
        let spelled_once = version > 0 && u32::to_string(&version) == number;
        spelled_once.then_some(Self { name: name.parse()?, version: Some(version) }).ok_or(NameError)
    }
}

impl fmt::Display for VersionedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => self.name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_or_refused() {
        for good in ["a", "haiku-2", "gpt-4.1_mini", "0", &"x".repeat(64)] {
            assert!(good.parse::<EndpointName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".", "A", "a@1", "a/b", "ä", "a b", "a\0", &"x".repeat(65)] {
            assert!(bad.parse::<EndpointName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_has_one_spelling() {
        for (text, version) in [("poet", None), ("poet@1", Some(1)), ("p.1@4294967295", Some(u32::MAX))] {
            let name: VersionedName = text.parse().unwrap();
            assert_eq!((name.version, name.to_string().as_str()), (version, text));
        }
        for bad in [
            "",
            "@1",
            "poet@",
            "poet@0",
            "poet@01",
            "poet@+1",
            "poet@-1",
            "poet@1@2",
            "poet@4294967296",
            "poet@x",
        ] {
            assert!(bad.parse::<VersionedName>().is_err(), "{bad}");
        }
    }
}
