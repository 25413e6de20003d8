//! What the frames mean: the runner gives one job or a stop; the agent says everything else.
//!
//! The agent's frames come from a place that runs hostile code. The runner believes what only the agent can know (a
//! status, a limit), and checks what it can: sizes, paths, the number of bytes.

use crate::frame::{Decoder, Frame};
use alphagate_contract::job::{
    FilePath, INPUT_MAX_BYTES, Language, LimitKind, PATH_MAX_LEN, SandboxSpec, dispatch::Stream,
};
use serde::{Deserialize, Serialize};

/// Version of frames and messages; runner and agent are built together, and refuse each other otherwise.
pub const VERSION: u16 = 2;
/// Most bytes of output, of an artefact or of a result in one frame: what a pipe holds.
pub const CHUNK_MAX_BYTES: usize = 64 * 1024;
/// Longest payload from the agent: a chunk, a path and the path's length.
pub const FROM_AGENT_MAX_BYTES: usize = CHUNK_MAX_BYTES + PATH_MAX_LEN + 2;
/// Longest payload to the agent: a job's input in base64, and as much again for arguments and variables.
pub const TO_AGENT_MAX_BYTES: usize = INPUT_MAX_BYTES * 4;
/// Most bytes of a grader's result: scores and a few messages. A longer one is none.
pub const RESULT_MAX_BYTES: usize = 1024 * 1024;
/// Most bytes of all artefacts: in base64 they fit into a `Finish`. What does not fit is left out.
pub const ARTEFACTS_MAX_BYTES: usize = 24 * 1024 * 1024;

/// To the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToAgent {
    /// Make ready for a job that is not known yet.
    Ahead(Ahead),
    /// The job; there is one only.
    Job(Box<SandboxSpec>),
    /// End the job and report: because of a limit that the runner has measured, or because it is to stop.
    Stop(Option<LimitKind>),
}

/// What is known of a job before it comes: all that its sandbox was booted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Whose interpreter is to wait.
    pub language: Language,
    /// Whether the job will be a grader.
    pub grader: bool,
    /// Its [`Limits::disk_bytes`](alphagate_contract::job::Limits::disk_bytes).
    pub disk_bytes: u64,
    /// Its [`Limits::pids`](alphagate_contract::job::Limits::pids).
    pub pids: u32,
}

/// From the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    /// The first frame.
    Hello(Hello),
    /// The interpreter that was to start ahead waits.
    Ready,
    /// User code has started.
    Started {
        /// Whether in an interpreter that had been started ahead and waited.
        prestarted: bool,
    },
    /// Output.
    Output(Stream, Vec<u8>),
    /// The next bytes of an artefact; an empty one is one empty chunk.
    Artefact(FilePath, Vec<u8>),
    /// The next bytes of a grader's result.
    Result(Vec<u8>),
    /// The last frame.
    Ended(Ended),
}

/// What the agent found when it came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u16,
    /// What the kernel said when it booted; under gVisor it says so.
    pub kernel: String,
}

/// How the job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub how: How,
    /// Every limit that it touched.
    pub limits_hit: Vec<LimitKind>,
    /// From the start of user code to its end, milliseconds.
    pub wall_ms: u64,
    /// Processor time of user code, milliseconds.
    pub cpu_ms: u64,
    /// Most memory of user code at once, as sampled, bytes.
    pub memory_peak_bytes: u64,
    /// The stream that was cut, if there was more output than it may write.
    pub truncated: Option<Stream>,
}

/// Why the job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum How {
    /// By itself.
    Exited {
        /// Its status.
        code: i32,
    },
    /// By a signal.
    Signaled {
        /// Its number.
        signal: i32,
    },
    /// By the agent, for a limit.
    Limited {
        /// Which one.
        limit: LimitKind,
    },
    /// By the agent, when told to stop.
    Stopped,
    /// It never started.
    NotStarted {
        /// `files_refused`, `language_unavailable` or `agent_failed`.
        code: String,
        /// For people.
        message: String,
    },
}

/// A frame that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The frame itself.
    #[error(transparent)]
    Frame(#[from] crate::frame::FrameError),
    /// A kind that this version does not have.
    #[error("frame of unknown kind {0}")]
    Kind(u8),
    /// A payload that is not what its kind says.
    #[error("frame of kind {kind}: {message}")]
    Payload {
        /// The kind.
        kind: u8,
        /// What is wrong.
        message: String,
    },
}

mod kind {
    pub const AHEAD: u8 = 1;
    pub const JOB: u8 = 2;
    pub const STOP: u8 = 3;
    pub const HELLO: u8 = 65;
    pub const READY: u8 = 66;
    pub const STARTED: u8 = 67;
    pub const STDOUT: u8 = 68;
    pub const STDERR: u8 = 69;
    pub const ARTEFACT: u8 = 70;
    pub const RESULT: u8 = 71;
    pub const ENDED: u8 = 72;
}

fn json<T: Serialize>(kind: u8, value: &T, out: &mut Vec<u8>) {
    // These values are plain structs with text keys: writing them cannot fail.
    let text = serde_json::to_vec(value).unwrap_or_default();
    Frame::encode(kind, &[&text], out);
}

fn parse<T: serde::de::DeserializeOwned>(frame: &Frame) -> Result<T, MessageError> {
    serde_json::from_slice(&frame.payload)
        .map_err(|error| MessageError::Payload { kind: frame.kind, message: error.to_string() })
}

impl ToAgent {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ahead(ahead) => json(kind::AHEAD, ahead, out),
            Self::Job(spec) => json(kind::JOB, spec, out),
            Self::Stop(limit) => json(kind::STOP, limit, out),
        }
    }

    /// The next message of a decoder.
    pub fn next_of(decoder: &mut Decoder) -> Result<Option<Self>, MessageError> {
        let Some(frame) = decoder.next_frame()? else { return Ok(None) };
        Ok(Some(match frame.kind {
            kind::AHEAD => Self::Ahead(parse(&frame)?),
            kind::JOB => Self::Job(parse(&frame)?),
            kind::STOP => Self::Stop(parse(&frame)?),
            other => return Err(MessageError::Kind(other)),
        }))
    }
}

impl FromAgent {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => json(kind::HELLO, hello, out),
            Self::Ready => Frame::encode(kind::READY, &[], out),
            Self::Started { prestarted } => json(kind::STARTED, prestarted, out),
            Self::Output(stream, bytes) => Self::encode_output(*stream, bytes, out),
            Self::Artefact(path, bytes) => {
                let path = path.as_str().as_bytes();
                // A path has at most 1,024 bytes.
                let length = u16::try_from(path.len()).unwrap_or(0).to_le_bytes();
                Frame::encode(kind::ARTEFACT, &[&length, path, bytes], out);
            }
            Self::Result(bytes) => Frame::encode(kind::RESULT, &[bytes], out),
            Self::Ended(ended) => json(kind::ENDED, ended, out),
        }
    }

    /// Appends output without a copy in between.
    pub fn encode_output(stream: Stream, bytes: &[u8], out: &mut Vec<u8>) {
        let kind = match stream {
            Stream::Stdout => kind::STDOUT,
            Stream::Stderr => kind::STDERR,
        };
        Frame::encode(kind, &[bytes], out);
    }

    /// The next message of a decoder.
    pub fn next_of(decoder: &mut Decoder) -> Result<Option<Self>, MessageError> {
        let Some(frame) = decoder.next_frame()? else { return Ok(None) };
        Ok(Some(match frame.kind {
            kind::HELLO => Self::Hello(parse(&frame)?),
            kind::READY => Self::Ready,
            kind::STARTED => Self::Started { prestarted: parse(&frame)? },
            kind::STDOUT => Self::Output(Stream::Stdout, frame.payload),
            kind::STDERR => Self::Output(Stream::Stderr, frame.payload),
            kind::ARTEFACT => artefact(&frame).ok_or_else(|| MessageError::Payload {
                kind: frame.kind,
                message: "not a path in the job's folder".to_owned(),
            })?,
            kind::RESULT => Self::Result(frame.payload),
            kind::ENDED => Self::Ended(parse(&frame)?),
            other => return Err(MessageError::Kind(other)),
        }))
    }
}

fn artefact(frame: &Frame) -> Option<FromAgent> {
    let (length, rest) = frame.payload.split_first_chunk::<2>()?;
    let (path, bytes) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let path = std::str::from_utf8(path).ok()?.parse().ok()?;
    Some(FromAgent::Artefact(path, bytes.to_vec()))
}

#[cfg(test)]
mod tests;
