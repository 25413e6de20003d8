//! The sources of this repository, each as it is, without its comments, and without its strings and tests too.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::code::{blank_comments, blank_strings, blank_tests};

/// Folders that hold no sources of ours.
const SKIPPED: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// What language it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rust,
    JavaScript,
    Python,
    Sql,
}

/// One file. The blanked texts have the same lines as the text.
#[derive(Debug)]
pub struct Source {
    pub path: String,
    pub kind: Kind,
    pub text: String,
    /// Comments are blank; tests within the file too.
    pub without_comments: String,
    /// Strings are blank as well.
    pub code: String,
    /// Nothing of it is part of a program.
    pub is_test: bool,
}

/// Every source below `root`.
pub fn read_sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    walk(root, root, &mut sources)?;
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn walk(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                walk(root, &path, sources)?;
            }
        } else if let Some(kind) = kind(&name) {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let path = path.strip_prefix(root)?.to_string_lossy().into_owned();
            sources.push(source(path, kind, text));
        }
    }
    Ok(())
}

fn kind(name: &str) -> Option<Kind> {
    // Declarations for TypeScript are generated; what they are made of is looked at where it is written.
    if name.ends_with(".d.ts") {
        return None;
    }
    match name.rsplit_once('.')?.1 {
        "rs" => Some(Kind::Rust),
        "js" | "mjs" | "mts" | "ts" | "tsx" => Some(Kind::JavaScript),
        "py" => Some(Kind::Python),
        "sql" => Some(Kind::Sql),
        _ => None,
    }
}

fn source(path: String, kind: Kind, text: String) -> Source {
    let in_folder = path.starts_with("tests/") || path.contains("/tests/");
    let is_test = in_folder || path.ends_with("_tests.rs") || path.ends_with("/tests.rs");
    let (without_comments, code) = match kind {
        Kind::Rust | Kind::JavaScript => {
            let without_comments = blank_comments(&text, kind);
            let code = blank_strings(&text, kind);
            let programs =
                |text: &str| if kind == Kind::Rust { blank_tests(text, &code) } else { text.to_owned() };
            (programs(&without_comments), programs(&code))
        }
        Kind::Python | Kind::Sql => (text.clone(), text.clone()),
    };
    Source { path, kind, text, without_comments, code, is_test }
}
