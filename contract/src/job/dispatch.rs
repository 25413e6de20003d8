//! What a runner and control say to each other, over HTTP, the runner always asking.
//!
//! `POST /runner/v1/runners` registers; then, under `/runner/v1/runners/{runner}/`: `claim` (long poll), `renew`,
//! `commands` (one held poll), `output`, `finish`; `DELETE` on the runner says goodbye. Every write names its attempt:
//! control takes it while that attempt is the job's current one, even if its lease ran out meanwhile, and answers 409
//! `attempt_superseded` once another has taken over. Every request may be repeated.

use super::{Bytes, Kind, Report, SampleSpec, SandboxSpec};
use crate::{
    id::{AttemptId, JobId, RunnerId},
    secret::Secret,
};
use serde::{Deserialize, Serialize};

/// Most bytes of output in one [`Output`], before base64.
pub const OUTPUT_MAX_BYTES: usize = 1024 * 1024;
/// Most chunks in one [`Output`].
pub const OUTPUT_CHUNKS_MAX: usize = 256;
/// Longest body of a [`Finish`]: artefacts and a result, in base64.
pub const FINISH_MAX_BYTES: usize = 48 * 1024 * 1024;

/// Jobs at once, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Slots {
    /// Sandboxes: they compute.
    pub sandbox: u32,
    /// Samples: they wait.
    pub sample: u32,
}

impl Slots {
    /// The slots of a kind.
    #[must_use]
    pub const fn of(self, kind: Kind) -> u32 {
        match kind {
            Kind::Sandbox => self.sandbox,
            Kind::Sample => self.sample,
        }
    }
}

/// Body of `POST /runner/v1/runners`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Register {
    /// The host's name, for people.
    pub name: String,
    /// A job that names labels goes to runners that have all of them.
    pub labels: Vec<String>,
    /// Jobs at once.
    pub slots: Slots,
    /// The runner's version.
    pub version: String,
    /// The engine, and whether it is weak.
    pub engine: String,
    /// Whether its isolation is weaker than gVisor.
    pub weak: bool,
    /// Names of the images that it has.
    pub images: Vec<String>,
}

/// Answer to [`Register`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Registered {
    /// Who the runner is from now on; a restarted one is another.
    pub runner: RunnerId,
    /// How long a claim holds without a renewal, milliseconds.
    pub lease_ms: u64,
    /// How often to renew, milliseconds: a third of the lease.
    pub renew_ms: u64,
    /// How long claim and command polls are held, milliseconds.
    pub poll_ms: u64,
    /// Where samples are asked, without a path.
    pub edge_url: String,
}

/// Body of `…/claim`: held until there is a job, or for [`Registered::poll_ms`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Claim {
    /// Free slots: no more jobs than these are given.
    pub free: Slots,
}

/// Answer to [`Claim`]; empty when the poll ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Claims {
    /// The jobs; each holds a slot until it is finished.
    pub jobs: Vec<Claimed>,
}

/// A job that this runner is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Claimed {
    /// The job.
    pub job: JobId,
    /// This attempt; every write names it.
    pub attempt: AttemptId,
    /// 1 for the first.
    pub number: u32,
    /// What to do.
    pub work: Work,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Work {
    /// Run code.
    Sandbox(Box<SandboxSpec>),
    /// Ask an endpoint.
    Sample {
        /// The question.
        spec: SampleSpec,
        /// The run's derived key; it never enters a sandbox.
        #[serde(with = "crate::secret::in_clear")]
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        key: Secret<String>,
    },
}

impl Work {
    /// Which slot it takes.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Sandbox(_) => Kind::Sandbox,
            Self::Sample { .. } => Kind::Sample,
        }
    }
}

/// An attempt at a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Held {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: AttemptId,
}

/// Body of `…/renew`: everything that the runner is at work on. It keeps the runner itself alive, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Renew {
    /// The attempts.
    pub held: Vec<Held>,
}

/// Answer to [`Renew`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Renewed {
    /// Attempts that are over for this runner: someone else took the job, or it ended. Their work is to be thrown away.
    pub lost: Vec<Held>,
}

/// Body of `…/commands`: held until there is something new to say, or for [`Registered::poll_ms`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AskCommands {
    /// Stops that the runner knows already.
    pub known: Vec<AttemptId>,
    /// Whether it drains already.
    pub draining: bool,
}

/// Answer to [`AskCommands`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Commands {
    /// Attempts to stop; each is then finished with [`super::Ending::Stopped`].
    pub stop: Vec<Held>,
    /// Claim nothing more, and leave when the last job is done.
    pub drain: bool,
}

/// Which of a job's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = OutputStream))]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Chunk {
    /// Which output.
    pub stream: Stream,
    /// The bytes.
    pub data: Bytes,
}

/// Body of `…/output`: user code has started, and this is what it wrote since. A repeated number changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = OutputReport))]
pub struct Output {
    /// The attempt.
    pub held: Held,
    /// The number of the first chunk; an attempt's chunks are numbered from 0 without gaps.
    pub first: u64,
    /// The chunks; none just says that user code has started.
    pub chunks: Vec<Chunk>,
}

/// Body of `…/finish`. Repeating it gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Finish {
    /// The attempt.
    pub held: Held,
    /// How it ended.
    pub report: Report,
}
