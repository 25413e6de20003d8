//! Python packages of an image: pip downloads, we unpack, so that nothing in the image depends on where it was built.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::recipe::{Distribution, Lock};
use crate::fetch::downloads;
use crate::{python, run};

/// Debian's own place for what does not come from Debian.
const SITE: &str = "usr/local/lib/python3.11/dist-packages";
/// Wheels for the image's Python and libc, whatever ours are.
pub(crate) const FOR_THE_IMAGE: [&str; 11] = [
    "--only-binary=:all:",
    "--implementation",
    "cp",
    "--python-version",
    "3.11",
    "--platform",
    "manylinux_2_28_x86_64",
    "--platform",
    "manylinux_2_17_x86_64",
    "--platform",
    "manylinux2014_x86_64",
];
/// Libraries whose test suites, half of their files, are left out: nothing else imports them.
const WITHOUT_TESTS: [&str; 4] = ["pandas", "scipy", "sklearn", "sympy"];

/// Unpacks all of a lock file's Python packages below a root file system.
pub(crate) fn install(
    name: &str,
    lock: &Lock,
    sources: &BTreeMap<String, String>,
    root: &Path,
) -> Result<()> {
    if lock.wheels.is_empty() && lock.sources.is_empty() {
        return Ok(());
    }
    let python = python::prepare()?;
    let site = root.join(SITE);
    fs::create_dir_all(&site)?;
    for wheel in download(&python, name, &lock.wheels)? {
        unpack_wheel(&wheel, &site).with_context(|| format!("cannot unpack {}", wheel.display()))?;
    }
    for source in &lock.sources {
        let package = sources.get(&source.requirement).context("the recipe does not name its folder")?;
        unpack_source(&python, source, package, &site).with_context(|| source.requirement.clone())?;
    }
    Ok(())
}

/// The wheels, from pip's cache or its index; pip refuses any other bytes than the lock file's.
fn download(python: &Path, name: &str, wheels: &[Distribution]) -> Result<Vec<PathBuf>> {
    let folder = downloads()?.join(format!("wheels-{name}"));
    fs::create_dir_all(&folder)?;
    if let Ok(found) = found(&folder, wheels) {
        return Ok(found);
    }
    let wanted: String = wheels
        .iter()
        .map(|wheel| format!("{} --hash=sha256:{}\n", wheel.requirement, wheel.sha256))
        .collect();
    let list = folder.with_extension("txt");
    fs::write(&list, wanted)?;
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
    ]);
    pip.args(FOR_THE_IMAGE).arg("--dest").arg(&folder).arg("--requirement").arg(&list);
    run::quietly(&mut pip)?;
    found(&folder, wheels)
}

/// All of the wheels, whatever else the folder holds, say of an earlier lock file.
fn found(folder: &Path, wheels: &[Distribution]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let digest = sha256(&path)?;
        if wheels.iter().any(|wheel| wheel.sha256 == digest) {
            found.push(path);
        }
    }
    if found.len() != wheels.len() {
        bail!("{} of {} wheels are in {}", found.len(), wheels.len(), folder.display());
    }
    found.sort();
    Ok(found)
}

/// Has pip download an archive of sources into a folder of its own.
pub(crate) fn download_source(python: &Path, requirement: &str, folder: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--no-binary", ":all:", "--dest"]).arg(folder).arg(requirement);
    run::quietly(&mut pip).map(drop)
}

/// The one file in a folder.
pub(crate) fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?;
    match (entries.next(), entries.next()) {
        (Some(file), None) => Ok(file?.path()),
        _ => bail!("{} does not hold exactly one file", folder.display()),
    }
}

/// SHA-256 of a file, hex.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    Ok(hex::encode(Sha256::digest(fs::read(path)?)))
}

/// A wheel is a zip archive; what is in its `.data` folder belongs elsewhere, and no grader needs it.
fn unpack_wheel(wheel: &Path, site: &Path) -> Result<()> {
    let mut zip = zip::ZipArchive::new(File::open(wheel)?)?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let path = entry.enclosed_name().context("a path that leads out")?;
        let data = path.components().next().is_some_and(|first| {
            Path::new(first.as_os_str()).extension().is_some_and(|extension| extension == "data")
        });
        if !entry.is_dir() && !data && !is_left_out(&path) {
            write(&mut entry, &site.join(path))?;
        }
    }
    Ok(())
}

/// Copies one folder of an archive of sources: pure Python needs no building.
fn unpack_source(python: &Path, source: &Distribution, package: &str, site: &Path) -> Result<()> {
    let folder = downloads()?.join(format!("source-{}", source.sha256));
    if !folder.exists() {
        let draft = folder.with_extension("draft");
        download_source(python, &source.requirement, &draft)?;
        fs::rename(draft, &folder)?;
    }
    let archive = only_file(&folder)?;
    let found = sha256(&archive)?;
    if found != source.sha256 {
        bail!("its archive has SHA-256 {found}, {} is wanted", source.sha256);
    }
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive)?));
    for entry in tar.entries()? {
        let mut entry = entry?;
        // The first part is the archive's own folder.
        let path: PathBuf = entry.path()?.components().skip(1).collect();
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let wanted = path.starts_with(package) && plain && !is_left_out(&path);
        if wanted && entry.header().entry_type().is_file() {
            write(&mut entry, &site.join(path))?;
        }
    }
    Ok(())
}

fn is_left_out(path: &Path) -> bool {
    let is_test = path.components().any(|part| part.as_os_str() == "tests");
    is_test && WITHOUT_TESTS.iter().any(|library| path.starts_with(library))
}

fn write(from: &mut impl io::Read, path: &Path) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file without a folder")?)?;
    let mut file = File::create(path)?;
    io::copy(from, &mut file)?;
    Ok(())
}
