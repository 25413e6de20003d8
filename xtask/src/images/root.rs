//! A root file system from its parts: packages, what their scripts would have made, Python packages, byte code.
//!
//! Invariant: the same lock file gives the same bytes, on any machine and for any user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::recipe::{Lock, Recipe};
use super::wheels;
use crate::{debian, fetch};

/// Folders over which a sandbox mounts something, or that programs expect.
const FOLDERS: [&str; 9] = [".alphagate", "dev", "etc", "job", "proc", "root", "run", "sys", "tmp"];
/// What packages' scripts would have written. Accounts by name: 65534 runs jobs, 65533 a candidate under a grader.
const ETC: [(&str, &str); 4] = [
    ("group", include_str!("../../../infra/images/etc/group")),
    ("hosts", include_str!("../../../infra/images/etc/hosts")),
    ("nsswitch.conf", include_str!("../../../infra/images/etc/nsswitch.conf")),
    ("passwd", include_str!("../../../infra/images/etc/passwd")),
];
/// What nobody reads in a sandbox; licences stay.
const LEFT_OUT: [&str; 7] = [
    "usr/share/bug",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/menu",
];
const DOCUMENTATION: &str = "usr/share/doc";
const LICENCE: &str = "copyright";
/// Where Python looks for modules.
const PYTHON_FOLDERS: [&str; 2] = ["usr/lib/python3.11", "usr/local/lib/python3.11"];
/// Each compiles its own, fixed part: byte code depends a little on what else a process has compiled.
const COMPILERS: usize = 4;

/// Makes the root file system in an empty folder.
pub(crate) fn assemble(name: &str, recipe: &Recipe, lock: &Lock, root: &Path) -> Result<()> {
    fetch::fetch(&lock.packages)?;
    skeleton(root)?;
    for package in &lock.packages {
        debian::unpack(&package.cached()?, root, is_wanted).with_context(|| package.path.clone())?;
    }
    accounts(root)?;
    for (path, target) in &recipe.links {
        let path = root.join(path);
        if fs::symlink_metadata(&path).is_err() {
            symlink(target, &path).with_context(|| path.display().to_string())?;
        }
    }
    wheels::install(name, lock, &recipe.sources, root)?;
    compile(root).context("cannot compile the image's Python modules")?;
    readable(root)
}

fn skeleton(root: &Path) -> Result<()> {
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    for folder in debian::MERGED {
        fs::create_dir_all(root.join("usr").join(folder))?;
        symlink(Path::new("usr").join(folder), root.join(folder))?;
    }
    Ok(())
}

fn is_wanted(path: &Path) -> bool {
    let is_documentation = path.starts_with(DOCUMENTATION) && !path.ends_with(LICENCE);
    !is_documentation && !LEFT_OUT.iter().any(|folder| path.starts_with(folder))
}

fn accounts(root: &Path) -> Result<()> {
    for (file, text) in ETC {
        fs::write(root.join("etc").join(file), text)?;
    }
    Ok(())
}

/// Compiles all modules, because a sandbox cannot keep byte code: its root is read-only. The image's own Python does it,
/// through the image's own loader and libraries, so neither root nor a sandbox is needed.
fn compile(root: &Path) -> Result<()> {
    let mut modules = Vec::new();
    for folder in PYTHON_FOLDERS.iter().map(|folder| root.join(folder)).filter(|folder| folder.exists()) {
        collect_modules(&folder, &mut modules)?;
    }
    modules.sort();
    let part = modules.len().div_ceil(COMPILERS).max(1);
    let compilers: Vec<Child> =
        modules.chunks(part).map(|part| start_compiler(root, part)).collect::<Result<_>>()?;
    for mut compiler in compilers {
        let status = compiler.wait()?;
        if !status.success() {
            bail!("the compiler ended with {status}");
        }
    }
    Ok(())
}

fn collect_modules(folder: &Path, modules: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        if meta.is_dir() {
            collect_modules(&path, modules)?;
        } else if meta.is_file() && path.extension().is_some_and(|extension| extension == "py") {
            modules.push(path);
        }
    }
    Ok(())
}

/// Compiles the paths on its standard input. Templates that only look like modules are left as they are.
const COMPILER: &str = "
import py_compile, sys
root = sys.argv[1]
for path in sys.stdin.read().splitlines():
    try:
        py_compile.compile(path, dfile=path[len(root):], doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    except py_compile.PyCompileError:
        pass
";

fn start_compiler(root: &Path, modules: &[PathBuf]) -> Result<Child> {
    let libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|folder| root.join(folder));
    let libraries: Vec<String> = libraries.iter().map(|folder| folder.display().to_string()).collect();
    let list: Vec<String> = modules.iter().map(|path| path.display().to_string()).collect();
    let listed = root.with_extension(format!("modules-{}", modules.len()));
    fs::write(&listed, list.join("\n"))?;
    let mut python = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
    python.arg("--library-path").arg(libraries.join(":")).arg(root.join("usr/bin/python3.11"));
    python.args(["-B", "-S", "-W", "ignore", "-c", COMPILER]).arg(root);
    python.env_clear().env("PYTHONHOME", root.join("usr")).env("PYTHONHASHSEED", "0");
    let input = fs::File::open(&listed)?;
    fs::remove_file(listed)?;
    Ok(python.stdin(input).stdout(Stdio::null()).spawn()?)
}

/// The umask of whoever builds must not decide who can read.
fn readable(folder: &Path) -> Result<()> {
    const READABLE: u32 = 0o644;
    const PASSABLE: u32 = 0o755;
    fs::set_permissions(folder, fs::Permissions::from_mode(PASSABLE))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        let mode = meta.permissions().mode();
        if meta.is_dir() {
            readable(&path)?;
        } else if meta.is_file() {
            let plain = if mode & 0o111 == 0 { READABLE } else { PASSABLE };
            fs::set_permissions(&path, fs::Permissions::from_mode(plain))?;
        }
    }
    Ok(())
}
