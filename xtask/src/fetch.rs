//! Files from Debian's archive, each pinned by its SHA-256, kept in target/downloads.
//!
//! Invariant: a file is in the cache under its digest only if it has that digest; nothing is taken on trust.
//! Where apt is installed its own helper downloads, so that a proxy or mirror that apt knows is used; elsewhere we do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use alphagate_bed::places;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::run;

/// The archive keeps the newest version of a package only; the snapshot keeps all, as of the day of our lock files.
const ARCHIVES: [&str; 2] = ["http://deb.debian.org", "http://snapshot.debian.org/archive"];
const SNAPSHOT: &str = "20261120T000000Z";
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";
/// Ten megabytes on a slow line.
const DOWNLOAD_MAX: Duration = Duration::from_secs(120);
/// Where there is no network at all, that should be known soon.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A file of Debian's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pinned {
    /// Its path below the archive's host: `debian/pool/…`.
    pub(crate) path: String,
    /// SHA-256, hex.
    pub(crate) sha256: String,
}

impl Pinned {
    /// Where its bytes lie once they are here.
    pub(crate) fn cached(&self) -> Result<PathBuf> {
        Ok(downloads()?.join(&self.sha256))
    }

    fn urls(&self) -> Vec<String> {
        let snapshot = self.path.replacen('/', &format!("/{SNAPSHOT}/"), 1);
        let paths = [self.path.clone(), snapshot];
        ARCHIVES.iter().zip(paths).map(|(archive, path)| format!("{archive}/{}", escaped(&path))).collect()
    }
}

/// Package names and versions hold few characters that mean something in a URL.
fn escaped(path: &str) -> String {
    path.replace('%', "%25").replace('+', "%2b").replace('~', "%7e").replace(':', "%3a")
}

/// Downloads what is not here yet.
pub(crate) fn fetch(files: &[Pinned]) -> Result<()> {
    fs::create_dir_all(downloads()?)?;
    let missing = missing(files)?;
    if missing.is_empty() {
        return Ok(());
    }
    if Path::new(APT_HELPER).exists() {
        // What it did not get is tried again below, one by one.
        let _ = by_apt(&missing);
    }
    by_ourselves(&self::missing(&missing)?)
}

fn missing(files: &[Pinned]) -> Result<Vec<Pinned>> {
    let mut missing = Vec::new();
    for file in files {
        if !file.cached()?.exists() {
            missing.push(file.clone());
        }
    }
    Ok(missing)
}

fn by_apt(files: &[Pinned]) -> Result<()> {
    let draft = downloads()?.join(format!("apt-{}", std::process::id()));
    fs::create_dir_all(&draft)?;
    let mut helper = Command::new(APT_HELPER);
    // Dropping privileges would need a folder that apt's own user may write to.
    let user = rustix::process::geteuid();
    if user.is_root() {
        helper.args(["-o", "APT::Sandbox::User=root"]);
    }
    helper.args(["-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=15", "download-file"]);
    for file in files {
        let url = file.urls().into_iter().next().context("an archive")?;
        helper.arg(url).arg(draft.join(&file.sha256)).arg(format!("SHA256:{}", file.sha256));
    }
    let done = run::quietly(&mut helper);
    for file in files {
        let _ = fs::read(draft.join(&file.sha256)).map_err(Into::into).and_then(|bytes| keep(file, &bytes));
    }
    fs::remove_dir_all(&draft)?;
    done.map(drop)
}

fn by_ourselves(files: &[Pinned]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Made first, because it brings the provider of TLS that any other client needs.
        drop(alphagate_bed::http_client(None)?);
        let client = reqwest::Client::builder().connect_timeout(CONNECT_MAX).timeout(DOWNLOAD_MAX).build()?;
        for file in files {
            let bytes = download(&client, file).await.with_context(|| file.path.clone())?;
            keep(file, &bytes)?;
        }
        Ok(())
    })
}

async fn download(client: &reqwest::Client, file: &Pinned) -> Result<Vec<u8>> {
    let mut last = anyhow::anyhow!("no archive");
    for url in file.urls() {
        let got = async { client.get(&url).send().await?.error_for_status()?.bytes().await };
        match got.await {
            Ok(bytes) => return Ok(bytes.to_vec()),
            Err(error) => last = error.into(),
        }
    }
    Err(last.context("cannot be downloaded"))
}

/// Puts bytes into the cache if they are the right ones.
fn keep(file: &Pinned, bytes: &[u8]) -> Result<()> {
    let found = hex::encode(Sha256::digest(bytes));
    if found != file.sha256 {
        bail!("{} has SHA-256 {found}, {} is wanted", file.path, file.sha256);
    }
    let path = file.cached()?;
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    fs::write(&draft, bytes)?;
    Ok(fs::rename(draft, path)?)
}

/// Where downloads are kept.
pub(crate) fn downloads() -> Result<PathBuf> {
    Ok(places::target()?.join("downloads"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_asked_before_its_snapshot() {
        let file = Pinned { path: "debian/pool/main/a/a++_1~b.deb".to_owned(), sha256: String::new() };
        let urls = file.urls();
        assert_eq!(
            urls,
            [
                "http://deb.debian.org/debian/pool/main/a/a%2b%2b_1%7eb.deb",
                "http://snapshot.debian.org/archive/debian/20261120T000000Z/pool/main/a/a%2b%2b_1%7eb.deb",
            ]
        );
    }

    #[test]
    fn other_bytes_than_the_pinned_ones_are_refused() {
        let file = Pinned { path: "a".to_owned(), sha256: "00".repeat(32) };
        assert!(keep(&file, b"something else").unwrap_err().to_string().contains("is wanted"));
        assert!(!file.cached().unwrap().exists());
    }
}
