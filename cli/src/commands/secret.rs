//! Reading a secret: from a file, from a pipe, or typed where nobody sees it. Never from an argument.

use crate::failure::Failure;
use alphagate_contract::secret::Secret;
use std::{
    io::{IsTerminal as _, Read as _},
    path::Path,
};

/// Longest secret: control takes 8 KiB.
const SECRET_MAX_BYTES: u64 = 64 * 1024;

/// Reads it; a line end after it is not part of it.
pub(crate) fn read(file: Option<&Path>, prompt: &str) -> Result<Secret<String>, Failure> {
    let mut text = String::new();
    match file {
        Some(path) => {
            let file = std::fs::File::open(path);
            file.and_then(|file| file.take(SECRET_MAX_BYTES).read_to_string(&mut text))
                .map_err(|error| Failure::said(format!("{}: {error}", path.display())))?;
        }
        None if std::io::stdin().is_terminal() => text = rpassword::prompt_password(prompt)?,
        None => {
            std::io::stdin().lock().take(SECRET_MAX_BYTES).read_to_string(&mut text)?;
        }
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::said("no secret was given").hint("pipe it in, or name a file"));
    }
    Ok(Secret::new(secret.to_owned()))
}
