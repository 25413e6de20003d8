//! Jobs: units of queued work, from the call that makes one to the outcome that somebody is told.
//!
//! `queued → starting → running → done | canceled | dead`. A job's row is changed only under its lock, and only for its
//! current attempt; its end, and what its owner makes of it, are one transaction: it ends exactly once.

mod append;
mod cancel;
mod claim;
mod create;
mod delete;
mod enqueue;
mod feed;
mod keep;
mod lease;
mod limits;
mod output;
mod owner;
mod pulse;
mod queue;
mod range;
mod read;
mod request;
mod retry;
mod settings;
mod settle;
mod share;
mod verdict;
mod view;
mod wait;

pub(crate) use append::append;
pub(crate) use cancel::cancel;
pub(crate) use claim::claim;
pub(crate) use create::create;
pub(crate) use delete::{delete, delete_old};
pub(crate) use enqueue::{cancel_run, enqueue};
pub(crate) use feed::{Feed, Message, Place};
pub(crate) use lease::{give_back, org_of, renew, to_stop};
pub(crate) use output::{artefact, download};
pub(crate) use owner::Owner;
pub(crate) use pulse::{beat, run};
pub(crate) use queue::{all as queue_of_all, own as queue};
pub(crate) use read::{get, list};
pub(crate) use request::{check_labels, is_image_name};
pub(crate) use retry::retry;
pub(crate) use settings::{get as queue_settings, put as set_queue_settings};
pub(crate) use settle::{Seen, finish};
pub(crate) use share::Asker;
pub(crate) use wait::wait;

use alphagate_contract::{
    id::JobId,
    job::{Kind, Outcome, Report, SampleSpec, SandboxSpec},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    create::create,
    read::list,
    read::get,
    delete::delete,
    cancel::cancel,
    retry::retry,
    output::download,
    output::artefact,
    queue::own,
    queue::all,
    settings::get,
    settings::put
))]
pub(crate) struct Docs;

/// What a job does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// Runs code.
    Sandbox(Box<SandboxSpec>),
    /// Asks an endpoint, with the key of the run that owns the job.
    Sample(SampleSpec),
}

impl Work {
    /// Which slot it takes.
    const fn kind(&self) -> Kind {
        match self {
            Self::Sandbox(_) => Kind::Sandbox,
            Self::Sample(_) => Kind::Sample,
        }
    }
}

/// Who goes first among the jobs of an org. It ages: a low job passes the normal ones that come ten minutes later.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    /// As if it had been due ten minutes before.
    High,
    /// In the order in which jobs are due.
    #[default]
    Normal,
    /// As if it were due ten minutes later.
    Low,
}

/// A job that is to be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewJob {
    /// What it does.
    pub(crate) work: Work,
    /// Who goes first.
    pub(crate) priority: Priority,
    /// It goes to runners that have all of them.
    pub(crate) labels: Vec<String>,
    /// Who is told when it ends.
    pub(crate) owner: Owner,
    /// Not before then; none: at once.
    pub(crate) run_at: Option<DateTime<Utc>>,
    /// How often an outcome that is not `passed` is tried again.
    pub(crate) retries: u32,
}

/// A job that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    /// The job.
    pub(crate) job: JobId,
    /// Who is told.
    pub(crate) owner: Owner,
    /// What it means; none: it was canceled.
    pub(crate) outcome: Option<Outcome>,
    /// The last attempt's report; none if no attempt reported.
    pub(crate) report: Option<Report>,
    /// How many attempts there were.
    pub(crate) attempts: u32,
}
