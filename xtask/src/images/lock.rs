//! `cargo xtask images --lock`: asks apt and pip which files an image is made of. Needs Debian; building does not.

use std::fs;
use std::path::Path;
use std::process::Command;

use alphagate_bed::Scratch;
use anyhow::{Context, Result};
use serde::Deserialize;

use super::recipe::{Distribution, Lock, Recipe};
use super::wheels;
use crate::fetch::Pinned;
use crate::{python, run};

/// One release, without its security archive: a point release brings those fixes, and then `--lock` is run again.
const SOURCES: &str = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main\n";
const HOST: &str = "http://deb.debian.org/";

/// Everything that a recipe needs, with what that depends on.
pub(crate) fn resolve(recipe: &Recipe) -> Result<Lock> {
    let scratch = Scratch::new()?;
    let python = python::prepare()?;
    let mut sources = Vec::new();
    for requirement in recipe.sources.keys() {
        sources.push(source(&python, requirement, scratch.path())?);
    }
    Ok(Lock {
        packages: packages(recipe, scratch.path())?,
        wheels: if recipe.wheels.is_empty() { vec![] } else { distributions(&python, recipe)? },
        sources,
    })
}

/// apt resolves in a world of its own, in which nothing is installed.
fn packages(recipe: &Recipe, folder: &Path) -> Result<Vec<Pinned>> {
    for sub in ["lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"] {
        fs::create_dir_all(folder.join(sub))?;
    }
    fs::write(folder.join("etc/sources.list"), SOURCES)?;
    let at = folder.display();
    let settings = format!(
        "Dir::Etc \"{at}/etc\";\nDir::Etc::sourceparts \"/nonexistent\";\nDir::State::lists \"{at}/lists\";\n\
         Dir::Cache \"{at}/cache\";\nDir::State::status \"/dev/null\";\nAcquire::ForceHash \"SHA256\";\n\
         APT::Sandbox::User \"\";\nAPT::Architecture \"amd64\";\n"
    );
    let conf = folder.join("apt.conf");
    fs::write(&conf, settings)?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("APT_CONFIG", &conf).arg("-qq");
        apt
    };
    run::quietly(apt().arg("update")).context("apt-get is needed to write lock files")?;
    let mut install = apt();
    install.args(["install", "--yes", "--no-install-recommends", "--print-uris"]).args(&recipe.packages);
    let mut packages: Vec<Pinned> = run::quietly(&mut install)?.lines().filter_map(pinned).collect();
    packages.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(packages)
}

/// `'http://host/debian/pool/….deb' file.deb 123 SHA256:…`
fn pinned(line: &str) -> Option<Pinned> {
    let (url, rest) = line.strip_prefix('\'')?.split_once('\'')?;
    let path = url.strip_prefix(HOST)?;
    let path = path.replace("%2b", "+").replace("%7e", "~").replace("%3a", ":").replace("%25", "%");
    let sha256 = rest.rsplit_once("SHA256:")?.1.trim().to_owned();
    Some(Pinned { path, sha256 })
}

#[derive(Debug, Deserialize)]
struct PipReport {
    install: Vec<Installed>,
}

#[derive(Debug, Deserialize)]
struct Installed {
    metadata: Metadata,
    download_info: DownloadInfo,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct DownloadInfo {
    archive_info: ArchiveInfo,
}

#[derive(Debug, Deserialize)]
struct ArchiveInfo {
    hashes: Hashes,
}

#[derive(Debug, Deserialize)]
struct Hashes {
    sha256: String,
}

/// pip resolves for the image's Python, whatever ours is.
fn distributions(python: &Path, recipe: &Recipe) -> Result<Vec<Distribution>> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]);
    pip.args(["--disable-pip-version-check", "--target", "unused"]).args(wheels::FOR_THE_IMAGE);
    let report = run::quietly(pip.args(&recipe.wheels))?;
    let report: PipReport = serde_json::from_str(&report).context("pip's report")?;
    let mut all: Vec<Distribution> = report
        .install
        .into_iter()
        .map(|one| Distribution {
            requirement: format!("{}=={}", one.metadata.name.to_lowercase(), one.metadata.version),
            sha256: one.download_info.archive_info.hashes.sha256,
        })
        .collect();
    all.sort();
    Ok(all)
}

/// The digest of the one archive of sources that pip finds.
fn source(python: &Path, requirement: &str, folder: &Path) -> Result<Distribution> {
    let folder = folder.join("source");
    wheels::download_source(python, requirement, &folder)?;
    let archive = wheels::only_file(&folder)?;
    let sha256 = wheels::sha256(&archive)?;
    fs::remove_dir_all(folder)?;
    Ok(Distribution { requirement: requirement.to_owned(), sha256 })
}
