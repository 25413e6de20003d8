//! The newest committed version of a file that is not the present one.
//!
//! Where the working tree has changed the file, that is HEAD's; right after the commit, the one before it. A shallow clone
//! reaches only so far: there may be nothing to compare with, and the caller says so.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::run;

/// How far back to look; the file differs from commit to commit where it was touched at all, so one or two are enough.
const COMMITS_MAX: &str = "20";

/// Commit and content.
pub(super) fn before(root: &Path, file: &str, now: &str) -> Result<Option<(String, String)>> {
    let git = |arguments: &[&str]| run::quietly(Command::new("git").args(arguments).current_dir(root));
    let commits = git(&["log", "--format=%h", "--max-count", COMMITS_MAX, "--", file])?;
    for commit in commits.lines() {
        // A commit that took the file away has none to show.
        let Ok(text) = git(&["show", &format!("{commit}:{file}")]) else { continue };
        if text != now {
            return Ok(Some((commit.to_owned(), text)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_last_is_found() -> Result<()> {
        let scratch = alphagate_bed::Scratch::new()?;
        let root = scratch.path();
        let git = |arguments: &[&str]| {
            let who = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"];
            run::quietly(Command::new("git").args(who).args(arguments).current_dir(root))
        };
        git(&["init", "--quiet"])?;
        for (text, message) in [("one", "first"), ("two", "second")] {
            std::fs::write(root.join("a.json"), text)?;
            git(&["add", "a.json"])?;
            git(&["commit", "--quiet", "--message", message])?;
        }
        let content = |now| Ok::<_, anyhow::Error>(before(root, "a.json", now)?.map(|(_, text)| text));
        assert_eq!(content("two")?.as_deref(), Some("one"), "right after the commit");
        assert_eq!(content("three")?.as_deref(), Some("two"), "before the next");
        assert_eq!(before(root, "b.json", "x")?, None);
        Ok(())
    }
}
