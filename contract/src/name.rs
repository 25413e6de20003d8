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
}
