//! `cargo xtask images`: root file systems for sandboxes, in target/images, from Debian packages and Python wheels.
//!
//! Invariant: an image is in its place only if its content has the digest in infra/images; a build that gives anything
//! else is refused (R12). No root is needed, and no maintainer script runs.

mod lock;
mod recipe;
mod root;
mod wheels;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use alphagate_bed::places;
use alphagate_runner::image;
use anyhow::{Context, Result, bail};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::steps;

/// Raised when the way of building changes what comes out.
const RECIPE_VERSION: u32 = 1;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write the lock files and digests anew, with today's versions (needs Debian's apt-get)
    #[arg(long)]
    lock: bool,
    /// Build even if nothing has changed
    #[arg(long)]
    force: bool,
    /// Only these images
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// The command `images`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let all = recipe::names()?;
    if let Some(unknown) = arguments.names.iter().find(|name| !all.contains(name)) {
        bail!("there is no image `{unknown}`; there are {}", all.join(", "));
    }
    let names = if arguments.names.is_empty() { &all } else { &arguments.names };
    for name in names {
        let how = if arguments.lock {
            How::Lock
        } else if arguments.force {
            How::Anew
        } else {
            How::IfNeeded
        };
        let built = steps::step(&format!("image {name}"), || build(name, how))?;
        println!("            {}, {} MB, sha256 {}", built.place.display(), built.megabytes, built.digest);
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds every image that is not there yet, and says where they are.
pub(crate) fn build_all() -> Result<PathBuf> {
    for name in recipe::names()? {
        build(&name, How::IfNeeded)?;
    }
    store()
}

/// The store that a runner is given.
pub(crate) fn store() -> Result<PathBuf> {
    Ok(places::target()?.join("images"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    IfNeeded,
    Anew,
    Lock,
}

struct Built {
    place: PathBuf,
    digest: String,
    megabytes: u64,
}

fn build(name: &str, how: How) -> Result<Built> {
    if std::env::consts::OS != "linux" || std::env::consts::ARCH != "x86_64" {
        bail!("images are built on Linux on x86_64 only");
    }
    let store = store()?;
    fs::create_dir_all(&store)?;
    // Names that are no image's begin with a dot.
    let gate = fs::File::create(store.join(".lock"))?;
    gate.lock().context("cannot wait for another build of images")?;
    let recipe = recipe::Recipe::of(name)?;
    if how == How::Lock {
        let lock = lock::resolve(&recipe)?;
        fs::write(recipe::folder()?.join(format!("{name}.lock")), lock.to_text())?;
    }
    let place = store.join(name);
    let inputs = inputs(name)?;
    let is_built = fs::read_to_string(place.join("inputs")).is_ok_and(|built| built == inputs);
    if how == How::IfNeeded && is_built {
        return describe(&place);
    }
    let draft = store.join(format!(".{name}.draft"));
    remove(&draft)?;
    let root = draft.join("rootfs");
    fs::create_dir_all(&root)?;
    root::assemble(name, &recipe, &recipe::Lock::of(name)?, &root)?;
    let digest = image::digest(&root)?;
    accept(name, &digest, how)?;
    fs::write(draft.join("digest"), format!("{digest}\n"))?;
    fs::write(draft.join("inputs"), self::inputs(name)?)?;
    let old = store.join(format!(".{name}.old"));
    remove(&old)?;
    if place.exists() {
        fs::rename(&place, &old)?;
    }
    fs::rename(&draft, &place)?;
    remove(&old)?;
    describe(&place)
}

/// Compares with the pinned digest, or pins it.
fn accept(name: &str, digest: &str, how: How) -> Result<()> {
    let pin = recipe::folder()?.join(format!("{name}.digest"));
    if how == How::Lock {
        return Ok(fs::write(pin, format!("{digest}\n"))?);
    }
    let wanted = recipe::read(name, "digest")?;
    if wanted.trim() != digest {
        bail!("the image has digest {digest}, {} is pinned in infra/images/{name}.digest", wanted.trim());
    }
    Ok(())
}

/// Digest of all that decides what an image holds.
fn inputs(name: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(RECIPE_VERSION.to_le_bytes());
    for extension in ["toml", "lock", "digest"] {
        hash.update(Sha256::digest(recipe::read(name, extension).unwrap_or_default()));
    }
    Ok(hex::encode(hash.finalize()))
}

fn describe(place: &Path) -> Result<Built> {
    let digest = fs::read_to_string(place.join("digest"))?.trim().to_owned();
    Ok(Built { place: place.to_owned(), digest, megabytes: bytes_in(&place.join("rootfs"))? / 1_000_000 })
}

fn bytes_in(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        bytes += if meta.is_dir() { bytes_in(&path)? } else { meta.len() };
    }
    Ok(bytes)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}
