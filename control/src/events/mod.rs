//! Notices: what one process changes, all of them hear at once.
//!
//! Every process has one connection that listens; whoever waits for a job, a runner or for work waits for its notices,
//! and looks for itself now and then in case that connection is down. A notice says only *that* something changed: what
//! it is, is read from the tables, so a lost or doubled notice is harmless.

mod hub;
mod listen;
mod stream;

pub(crate) use hub::{Hub, Watch};
pub(crate) use listen::listen;
pub(crate) use stream::stream;

use alphagate_contract::id::{JobId, PublicationId, RunId, RunnerId};
use sqlx::PgConnection;
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(stream::stream), components(schemas(crate::jobs::Message)))]
pub(crate) struct Docs;

/// Channel of NOTIFY.
pub(crate) const CHANNEL: &str = "alphagate_jobs";

/// The thing that the loop of publications waits for; no id is nil.
pub(crate) const SWEEP: Uuid = Uuid::nil();

/// That something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// There may be work for a runner.
    Work,
    /// This job.
    Job(JobId),
    /// There is something to say to this runner.
    Runner(RunnerId),
    /// This run of an eval.
    Run(RunId),
    /// This publication has ended.
    Publication(PublicationId),
    /// Some publication can be decided, or some run is to be stopped.
    Sweep,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work => f.write_str("work"),
            Self::Job(job) => job.fmt(f),
            Self::Runner(runner) => runner.fmt(f),
            Self::Run(run) => run.fmt(f),
            Self::Publication(publication) => publication.fmt(f),
            Self::Sweep => f.write_str("sweep"),
        }
    }
}

impl FromStr for Notice {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "work" {
            return Ok(Self::Work);
        }
        if text == "sweep" {
            return Ok(Self::Sweep);
        }
        let job = text.parse().map(Self::Job).ok();
        let job = job.or_else(|| text.parse().map(Self::Runner).ok());
        let job = job.or_else(|| text.parse().map(Self::Run).ok());
        job.or_else(|| text.parse().map(Self::Publication).ok()).ok_or(())
    }
}

/// Says it when the transaction commits.
pub(crate) async fn notify(db: &mut PgConnection, notice: Notice) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(notice.to_string()).execute(db).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_read_as_they_were_said() {
        for notice in [
            Notice::Work,
            Notice::Job(JobId::new(1, [1; 10])),
            Notice::Runner(RunnerId::new(1, [2; 10])),
            Notice::Run(RunId::new(1, [3; 10])),
        ] {
            assert_eq!(notice.to_string().parse(), Ok(notice));
        }
        assert!("org_0198c0de00007000800000000000000a".parse::<Notice>().is_err());
    }
}
