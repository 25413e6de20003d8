//! Jobs: units of queued work, as control describes them and a runner executes them.
//!
//! A job is of a kind: `sandbox` runs code under gVisor, `sample` asks an endpoint. What the runner and control say to
//! each other is in [`dispatch`]; what a finished attempt was is an [`Ending`], reported by the sandbox's agent and never
//! guessed from an exit code. Bytes travel as base64: output, sources and names need not be UTF-8 text.

mod bytes;
pub mod dispatch;
mod language;
mod path;

pub use bytes::Bytes;
pub use language::Language;
pub use path::{FilePath, PATH_MAX_LEN, PathError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most files of one job, and most files that it may hand back.
pub const FILES_MAX: usize = 256;
/// Most bytes of all files and stdin together: an OpenAI grader (256 kB) with a sample and an item of megabytes fits.
pub const INPUT_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Most arguments, and most environment variables.
pub const ARGUMENTS_MAX: usize = 256;
/// Longest argument, name or value of a variable: Linux stops at 128 KiB for one string.
pub const ARGUMENT_MAX_BYTES: usize = 64 * 1024;

/// The root file system of a sandbox, by name: `host` (the runner's own `/usr`, for development), `minimal`, `grader`, …
/// Lower-case letters, digits and `-`, at most 32 characters.
pub type ImageName = String;

/// A file by its path, relative to the job's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = JobFile))]
pub struct File {
    /// Where it lies.
    pub path: FilePath,
    /// What is in it.
    pub content: Bytes,
}

/// What one attempt may use. Every bound is enforced where the job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = JobLimits))]
pub struct Limits {
    /// From the start of user code to its end, milliseconds.
    pub wall_ms: u64,
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// Memory of user code, bytes.
    pub memory_bytes: u64,
    /// Processes and threads at once.
    pub pids: u32,
    /// What may be written to the job's folder and to scratch, together, bytes.
    pub disk_bytes: u64,
    /// Standard output and standard error together, bytes; what goes beyond ends the job.
    pub output_bytes: u64,
}

/// One bound of [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LimitKind {
    /// [`Limits::wall_ms`].
    Wall,
    /// [`Limits::cpu_ms`].
    Cpu,
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::pids`].
    Pids,
    /// [`Limits::disk_bytes`].
    Disk,
    /// [`Limits::output_bytes`].
    Output,
}

/// Code to be run in a sandbox of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SandboxSpec {
    /// The root file system.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub image: ImageName,
    /// What runs [`Self::entry`].
    pub language: Language,
    /// The file that is run; one of [`Self::files`].
    pub entry: FilePath,
    /// Everything that lies in the job's folder when it starts.
    pub files: Vec<File>,
    /// Arguments after the entry.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Standard input.
    #[serde(default)]
    pub stdin: Bytes,
    /// Environment variables, on top of `PATH`, `HOME`, `LANG` and `TMPDIR`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What it may use.
    pub limits: Limits,
    /// Files that are handed back when it has ended; those that do not exist are left out.
    #[serde(default)]
    pub artefacts: Vec<FilePath>,
    /// Whether it is a grader: it then has a result channel and the helper that runs a candidate's code as another user.
    #[serde(default)]
    pub grader: bool,
}

/// A question to an endpoint at the edge, asked as any consumer asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SampleSpec {
    /// `/v1/responses` or `/v1/embeddings`.
    pub path: String,
    /// The request's body.
    pub body: Value,
    /// From the call to its whole answer, milliseconds.
    pub wall_ms: u64,
}

/// Which slots of a runner a job takes: `sandbox` computes, `sample` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = JobKind))]
pub enum Kind {
    /// Runs code.
    Sandbox,
    /// Asks a model.
    Sample,
}

/// How an attempt ended, as the runner saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Ending {
    /// User code exited by itself.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// A signal ended user code, and no limit of ours sent it.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// A limit ended it.
    Limited {
        /// Which one.
        limit: LimitKind,
    },
    /// The sandbox died and its agent could not say how.
    Died {
        /// Whether user code had started.
        started: bool,
        /// Whether the host passed its self-test afterwards.
        host_healthy: bool,
        /// For the operator.
        message: String,
    },
    /// The runner did not start it: isolation or image is missing, or its own part failed.
    NotRun {
        /// `isolation_unavailable`, `image_unavailable`, …
        code: String,
        /// For people.
        message: String,
    },
    /// It was stopped because control asked for it, or because the runner drains.
    Stopped,
    /// The edge answered a sample; the answer's body is [`Report::result`].
    Answered {
        /// HTTP status.
        status: u16,
        /// The edge's `x-request-id`, by which it is billed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// The edge's `retry-after`, milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The edge did not answer a sample.
    Unanswered {
        /// For the operator.
        message: String,
    },
}

/// What stood between user code and the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Isolation {
    /// `runsc`, `docker`, …
    pub engine: String,
    /// Whether it is weaker than gVisor. Only an explicit flag of the runner allows that.
    pub weak: bool,
    /// What the agent read of the kernel inside: under gVisor, its boot message.
    pub kernel: String,
    /// SHA-256 of the root file system, hex; `host` for the host's own.
    pub image_digest: String,
    /// Whether the host enforces memory, processor and process limits from outside, too.
    pub host_limits: bool,
    /// Whether user code began in an interpreter that had been started before the job was known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prestarted: bool,
}

/// What an attempt used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Used {
    /// From the claim to the start of user code, milliseconds.
    pub start_ms: u64,
    /// From the start of user code to its end, milliseconds.
    pub wall_ms: u64,
    /// Processor time of user code, milliseconds.
    pub cpu_ms: u64,
    /// Most memory at once, bytes; 0 if the host cannot tell.
    pub memory_peak_bytes: u64,
}

/// How much a job wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = BytesWritten))]
pub struct Written {
    /// Bytes of standard output that were kept.
    pub stdout_bytes: u64,
    /// Bytes of standard error that were kept.
    pub stderr_bytes: u64,
    /// Whether there was more than [`Limits::output_bytes`].
    pub truncated: bool,
}

/// Everything that is known of an attempt when it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = JobReport))]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// Every limit that it touched, whether or not that ended it.
    #[serde(default)]
    pub limits_hit: Vec<LimitKind>,
    /// What it used.
    #[serde(default)]
    pub used: Used,
    /// How much it wrote.
    #[serde(default)]
    pub written: Written,
    /// The files that it handed back.
    #[serde(default)]
    pub artefacts: Vec<File>,
    /// A grader's result, or a sample's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Bytes>,
    /// What stood between user code and the host; none if nothing ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
}

impl Report {
    /// A report that says how the attempt ended, and nothing more.
    #[must_use]
    pub const fn of(ending: Ending) -> Self {
        Self {
            ending,
            limits_hit: Vec::new(),
            used: Used { start_ms: 0, wall_ms: 0, cpu_ms: 0, memory_peak_bytes: 0 },
            written: Written { stdout_bytes: 0, stderr_bytes: 0, truncated: false },
            artefacts: Vec::new(),
            result: None,
            isolation: None,
        }
    }
}

/// What a finished job means. `passed` and `failed` are the subject's; the limits are what ended it;
/// `infrastructure` is ours, and never scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = JobOutcome))]
pub enum Outcome {
    /// User code exited with 0, or the edge answered with 200.
    Passed,
    /// User code exited with something else, a signal ended it, or the edge refused the request.
    Failed,
    /// The wall clock or the processor time ran out.
    Timeout,
    /// Memory ran out.
    Memory,
    /// It wrote more than it may.
    Output,
    /// The sandbox died twice on healthy hosts after user code had started: the subject's.
    Crashed,
    /// Ours: a lost runner, a missing image, an unreachable edge.
    Infrastructure,
}
