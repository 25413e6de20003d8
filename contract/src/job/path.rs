//! The path of a file in a job's folder: relative, plain, and never a way out.
//!
//! Control checks it when a job is made; the runner checks the same on the way back. Parts may hold any bytes that are
//! UTF-8 but control characters; `.`, `..`, empty parts, a leading `/` and backslashes are refused.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Longest path, bytes; Linux stops at 4,096, and the folder's own path comes before it.
pub const PATH_MAX_LEN: usize = 1024;
/// Longest part between two slashes, bytes: Linux's own bound.
const PART_MAX_LEN: usize = 255;

/// The text cannot be a path in a job's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path is relative to the job's folder: parts of 1 to 255 bytes between `/`, none of them `.` or `..`, without control characters or `\\`"
)]
pub struct PathError;

/// A path inside a job's folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(value_type = String, min_length = 1, max_length = 1024, example = "lib/main.py"))]
pub struct FilePath(String);

impl FilePath {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FilePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let part = |part: &str| {
            (1..=PART_MAX_LEN).contains(&part.len())
                && part != "."
                && part != ".."
                && !part.chars().any(|c| c.is_control() || c == '\\')
        };
        let fits = text.len() <= PATH_MAX_LEN && text.split('/').all(part);
        fits.then(|| Self(text.to_owned())).ok_or(PathError)
    }
}

impl TryFrom<String> for FilePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_read() {
        for good in ["a", "a/b.py", "ä b/…", ".hidden", "a..b", "x/".repeat(400).trim_end_matches('/')] {
            assert!(good.parse::<FilePath>().is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in
            ["", "/a", "a/", "a//b", ".", "..", "../x", "a/../b", "a/./b", "a\\b", "a\0", "a\nb", &long]
        {
            assert!(bad.parse::<FilePath>().is_err(), "{bad}");
        }
    }
}
