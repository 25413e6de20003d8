//! What an image is made of: `infra/images/<name>.toml` says what people want, `<name>.lock` says exactly which files.
//!
//! Invariant: everything that goes into an image is a line of its lock file, with a SHA-256.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use alphagate_bed::places;
use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::fetch::Pinned;

/// `infra/images/<name>.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// Debian packages, without what they depend on.
    pub(crate) packages: Vec<String>,
    /// Python requirements that have wheels, without what they depend on.
    #[serde(default)]
    pub(crate) wheels: Vec<String>,
    /// Python requirements that are published as sources only, and the one folder that each installs.
    #[serde(default)]
    pub(crate) sources: BTreeMap<String, String>,
    /// Links to make, from their path to where they lead.
    #[serde(default)]
    pub(crate) links: BTreeMap<String, String>,
}

/// A Python distribution: `name==version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Distribution {
    pub(crate) requirement: String,
    pub(crate) sha256: String,
}

/// `infra/images/<name>.lock`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) packages: Vec<Pinned>,
    pub(crate) wheels: Vec<Distribution>,
    pub(crate) sources: Vec<Distribution>,
}

/// The folder with a recipe, a lock file and a digest for each image.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(places::workspace()?.join("infra/images"))
}

/// Names of all images that have a recipe, sorted.
pub(crate) fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder()?)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

/// The text of one of an image's files.
pub(crate) fn read(name: &str, extension: &str) -> Result<String> {
    let path = folder()?.join(format!("{name}.{extension}"));
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

impl Recipe {
    /// An image's recipe.
    pub(crate) fn of(name: &str) -> Result<Self> {
        toml::from_str(&read(name, "toml")?).with_context(|| format!("infra/images/{name}.toml"))
    }
}

impl Lock {
    /// An image's lock file.
    pub(crate) fn of(name: &str) -> Result<Self> {
        Self::parse(&read(name, "lock")?).with_context(|| format!("infra/images/{name}.lock"))
    }

    /// One line for each file: its kind, its digest, what it is.
    fn parse(text: &str) -> Result<Self> {
        let mut lock = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let [kind, sha256, what] = words.as_slice() else { bail!("not a line of three words: {line}") };
            let (sha256, what) = ((*sha256).to_owned(), (*what).to_owned());
            if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                bail!("not a SHA-256: {line}");
            }
            match *kind {
                "deb" => lock.packages.push(Pinned { path: what, sha256 }),
                "wheel" => lock.wheels.push(Distribution { requirement: what, sha256 }),
                "source" => lock.sources.push(Distribution { requirement: what, sha256 }),
                _ => bail!("not a kind of file: {line}"),
            }
        }
        Ok(lock)
    }

    /// The text that [`Self::parse`] reads.
    pub(crate) fn to_text(&self) -> String {
        let mut text = "# Written by `cargo xtask images --lock`.\n".to_owned();
        let packages = self.packages.iter().map(|package| ("deb", &package.sha256, &package.path));
        let wheels = self.wheels.iter().map(|wheel| ("wheel", &wheel.sha256, &wheel.requirement));
        let sources = self.sources.iter().map(|source| ("source", &source.sha256, &source.requirement));
        for (kind, sha256, what) in packages.chain(wheels).chain(sources) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{kind} {sha256} {what}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_reads_as_it_was_written() {
        let sha256 = "ab".repeat(32);
        let lock = Lock {
            packages: vec![Pinned { path: "debian/pool/a.deb".to_owned(), sha256: sha256.clone() }],
            wheels: vec![Distribution { requirement: "numpy==2.2.4".to_owned(), sha256: sha256.clone() }],
            sources: vec![Distribution { requirement: "rouge-score==0.1.2".to_owned(), sha256 }],
        };
        assert_eq!(Lock::parse(&lock.to_text()).unwrap(), lock);
    }

    #[test]
    fn a_line_without_a_whole_digest_is_refused() {
        for line in ["deb 00 a.deb", "deb a.deb", &format!("rpm {} a", "00".repeat(32)), "deb"] {
            assert!(Lock::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn every_image_has_a_lock_file_and_a_digest_and_its_lock_has_what_its_recipe_names() {
        let names = names().unwrap();
        assert!(names.iter().any(|name| name == "minimal") && names.iter().any(|name| name == "grader"));
        for name in names {
            let (recipe, lock) = (Recipe::of(&name).unwrap(), Lock::of(&name).unwrap());
            assert_eq!(read(&name, "digest").unwrap().trim().len(), 64, "{name}");
            for package in &recipe.packages {
                let file = format!("/{package}_");
                assert!(lock.packages.iter().any(|locked| locked.path.contains(&file)), "{name}: {package}");
            }
            let locked: Vec<&Distribution> = lock.wheels.iter().chain(&lock.sources).collect();
            for wanted in recipe.wheels.iter().chain(recipe.sources.keys()) {
                let is_locked = locked.iter().any(|locked| locked.requirement.starts_with(wanted.as_str()));
                assert!(is_locked, "{name}: {wanted}");
            }
        }
    }
}
