//! The two programs that isolation rests on: is gVisor new enough, and is the agent one that runs in any image?

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// First version, as the date of its release, that the systrap platform and this runner's flags are known of.
pub const RUNSC_MIN_VERSION: u32 = 20_240_729;
/// A program that asks for an interpreter is linked dynamically.
const PT_INTERP: u32 = 3;
const DATE_DIGITS: usize = 8;

/// A runsc's version as the date of its release (`20240729`), or why it cannot be used.
pub fn runsc_version(runsc: &Path) -> Result<u32, String> {
    let output = Command::new(runsc).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{} cannot be started: {error}", runsc.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version =
        release_date(&said).ok_or_else(|| format!("{} does not tell its version", runsc.display()))?;
    if version < RUNSC_MIN_VERSION {
        return Err(format!("{} is of {version}, {RUNSC_MIN_VERSION} or newer is needed", runsc.display()));
    }
    Ok(version)
}

/// `runsc version release-20240729.0`, or Debian's `runsc version 0.0~20240729.0-4`.
fn release_date(said: &str) -> Option<u32> {
    let mut runs = said.split(|c: char| !c.is_ascii_digit());
    runs.find(|run| run.len() == DATE_DIGITS).and_then(|run| run.parse().ok())
}

/// Whether a program is linked statically, so that it runs whatever the image holds.
pub fn is_static(program: &Path) -> Result<bool, String> {
    let bytes =
        fs::read(program).map_err(|error| format!("{} cannot be read: {error}", program.display()))?;
    asks_for_interpreter(&bytes)
        .map(|asks| !asks)
        .ok_or_else(|| format!("{} is not a 64-bit ELF program", program.display()))
}

/// Reads the program headers of a little-endian ELF64 file.
fn asks_for_interpreter(elf: &[u8]) -> Option<bool> {
    let number = |at: usize, len: usize| -> Option<usize> {
        let bytes = elf.get(at..at.checked_add(len)?)?;
        bytes.iter().rev().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))
    };
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let kind = number(table.checked_add(index.checked_mul(size)?)?, 4)?;
        if u32::try_from(kind) == Ok(PT_INTERP) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_date_of_the_release() {
        let cases = [
            ("runsc version release-20240729.0\nspec: 1.1.0-rc.1\n", Some(20_240_729)),
            ("runsc version 0.0~20221219.0-2+b3\nspec: 1.0.2\n", Some(20_221_219)),
            ("runsc version VERSION_MISSING\n", None),
            ("", None),
        ];
        for (said, date) in cases {
            assert_eq!(release_date(said), date, "{said}");
        }
    }

    #[test]
    fn this_test_is_linked_dynamically_and_text_is_no_program() {
        assert_eq!(is_static(&std::env::current_exe().unwrap()), Ok(false));
        assert!(is_static(Path::new(file!())).is_err() || is_static(Path::new("Cargo.toml")).is_err());
    }

    #[test]
    fn a_torn_header_is_not_read_past_its_end() {
        let whole = fs::read(std::env::current_exe().unwrap()).unwrap();
        for len in 0..64 {
            assert_eq!(asks_for_interpreter(&whole[..len]), None, "{len}");
        }
    }
}
