//! What a grader asks of the agent, and what it is told: one request and one answer on each connection.
//!
//! `length: u32 LE ‖ JSON`. The grader is its organization's code, and is believed no more than that: every length is
//! bounded, and a request that means nothing is answered with why.

use alphagate_contract::job::{Bytes, File, FilePath, INPUT_MAX_BYTES, Language};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest request: a job's input in base64, and as much again for the rest.
pub const REQUEST_MAX_BYTES: usize = INPUT_MAX_BYTES * 2;
/// Most bytes that are kept of a candidate's standard output, and of its standard error.
pub const OUTPUT_MAX_BYTES: usize = 1024 * 1024;

/// Run a candidate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What runs it.
    pub language: Language,
    /// The file that is run; one of `files`.
    pub entry: FilePath,
    /// What lies in its folder.
    pub files: Vec<File>,
    /// Arguments after the entry.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Its standard input.
    #[serde(default)]
    pub stdin: Bytes,
    /// Variables beside the usual ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How long it may run, milliseconds.
    pub timeout_ms: u64,
    /// Most bytes to keep of each of its outputs.
    #[serde(default = "output_max_bytes")]
    pub output_bytes: usize,
}

const fn output_max_bytes() -> usize {
    OUTPUT_MAX_BYTES
}

/// What became of it.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    /// Its exit status, if it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether its time ran out.
    pub timed_out: bool,
    /// Whether it used more memory than it may.
    pub memory_exceeded: bool,
    /// Whether it wrote more than is kept; that ended it.
    pub truncated: bool,
    /// What it wrote.
    pub stdout: Bytes,
    /// What it wrote there.
    pub stderr: Bytes,
    /// From its start to its end, milliseconds.
    pub wall_ms: u64,
    /// Why it was not run at all.
    pub error: Option<String>,
}

/// The length in front.
const LENGTH_BYTES: usize = 4;

/// A request, if its last byte is here.
pub fn read(buffer: &[u8]) -> Result<Option<Request>, String> {
    let Some((length, rest)) = buffer.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > REQUEST_MAX_BYTES {
        return Err(format!("a request has at most {REQUEST_MAX_BYTES} bytes, this one {length}"));
    }
    let Some(text) = rest.get(..length) else { return Ok(None) };
    let request: Request = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if !request.files.iter().any(|file| file.path == request.entry) {
        return Err(format!("entry {} is none of the files", request.entry));
    }
    Ok(Some(request))
}

/// An answer's bytes.
pub fn write(answer: &Answer) -> Vec<u8> {
    // A plain struct: writing it cannot fail.
    let text = serde_json::to_vec(answer).unwrap_or_default();
    let mut bytes = u32::try_from(text.len()).unwrap_or(0).to_le_bytes().to_vec();
    bytes.extend_from_slice(&text);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(text: &str) -> Vec<u8> {
        let mut bytes = u32::try_from(text.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        let whole = framed(
            r#"{"language":"python","entry":"a.py","files":[{"path":"a.py","content":"YQ=="}],"timeout_ms":5}"#,
        );
        assert!(read(&whole[..whole.len() - 1]).unwrap().is_none());
        assert_eq!(read(&whole).unwrap().unwrap().output_bytes, OUTPUT_MAX_BYTES);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let missing = r#"{"language":"python","entry":"b.py","files":[],"timeout_ms":5}"#;
        let outside = r#"{"language":"python","entry":"../b.py","files":[],"timeout_ms":5}"#;
        for text in ["", "{}", "[]", missing, outside] {
            assert!(read(&framed(text)).is_err(), "{text}");
        }
        assert!(read(&[255, 255, 255, 255, 0]).is_err());
    }
}
