//! A job as callers read it.

use super::{Owner, Priority, owner::OwnerColumns};
use crate::{
    body::from_word,
    error::{Answer, Error},
};
use alphagate_contract::{
    id::{AttemptId, JobId, OutputItemId, RunId, RunnerId},
    job::{Ending, Isolation, Kind, LimitKind, Limits, Outcome, Report, Used},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

/// The columns of [`Row`].
macro_rules! columns {
    () => {
        "id, kind, name, language, image, entry, limits, labels, priority, owner, owner_run, owner_item, owner_grader, \
         state, created_at, due_at, started_at, ended_at, cancel_asked_at, retries, retried, outcome, report, \
         stdout_bytes, stderr_bytes, stdout_preview, stderr_preview, truncated"
    };
}
pub(super) use columns;

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
pub(crate) enum State {
    /// It waits for a runner, or for its time.
    Queued,
    /// A runner has it, and user code has not started.
    Starting,
    /// User code runs.
    Running,
    /// It has an outcome.
    Done,
    /// Somebody did not want it any more.
    Canceled,
    /// It is parked: we failed too often.
    Dead,
}

/// Who is told when it ends.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = JobOwner)]
enum OwnerView {
    Caller,
    Sample { run: RunId, item: OutputItemId },
    Grade { run: RunId, item: OutputItemId, grader: u16 },
    GraderRun,
}

/// A job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    kind: Kind,
    name: Option<String>,
    pub(crate) state: State,
    pub(crate) outcome: Option<Outcome>,
    limits_hit: Vec<LimitKind>,
    priority: Priority,
    labels: Vec<String>,
    language: Option<String>,
    image: Option<String>,
    entry: Option<String>,
    limits: Option<Limits>,
    owner: OwnerView,
    pub(crate) created_at: DateTime<Utc>,
    /// Not before then: what was asked for, or the end of a backoff.
    run_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    cancel_asked_at: Option<DateTime<Utc>>,
    retries: i32,
    retried: i32,
    used: Option<Used>,
    isolation: Option<Isolation>,
    output: Output,
    artefacts: Vec<Artefact>,
    pub(crate) attempts: Vec<Attempt>,
}

/// What it has written so far.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JobOutput)]
struct Output {
    stdout: Written,
    stderr: Written,
    /// Whether there was more than it may write.
    truncated: bool,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JobStream)]
struct Written {
    bytes: i64,
    preview: Preview,
}

/// The beginning of an output: text if it is text, else base64.
#[derive(Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(tag = "encoding", rename_all = "lowercase")]
#[schema(as = OutputPreview)]
enum Preview {
    Utf8 { data: String },
    Base64 { data: String },
}

/// A file that it handed back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Artefact {
    pub(super) path: String,
    pub(super) bytes: i64,
}

/// One attempt at it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Attempt {
    id: AttemptId,
    pub(crate) number: i32,
    runner: RunnerId,
    claimed_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    /// How it ended; `lost` if its lease ran out, none while it is under way.
    ending: Option<EndingView>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = AttemptEnding)]
enum EndingView {
    Reported(Ending),
    Lost {
        #[schema(pattern = "^lost$")]
        how: &'static str,
    },
}

#[derive(sqlx::FromRow)]
pub(super) struct AttemptRow {
    pub(super) job_id: Uuid,
    id: Uuid,
    number: i32,
    runner_id: Uuid,
    claimed_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    ending: Option<Json<Ending>>,
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        let lost = row.ended_at.map(|_| EndingView::Lost { how: "lost" });
        Self {
            id: AttemptId::from_uuid(row.id),
            number: row.number,
            runner: RunnerId::from_uuid(row.runner_id),
            claimed_at: row.claimed_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            ending: row.ending.map(|ending| EndingView::Reported(ending.0)).or(lost),
        }
    }
}

/// A job's row, without what it runs.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) id: Uuid,
    kind: String,
    name: Option<String>,
    language: Option<String>,
    image: Option<String>,
    entry: Option<String>,
    limits: Option<Json<Limits>>,
    labels: Vec<String>,
    priority: String,
    #[sqlx(flatten)]
    owner: OwnerColumns,
    state: String,
    created_at: DateTime<Utc>,
    due_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    cancel_asked_at: Option<DateTime<Utc>>,
    retries: i32,
    retried: i32,
    outcome: Option<String>,
    report: Option<Json<Report>>,
    stdout_bytes: i64,
    stderr_bytes: i64,
    stdout_preview: Vec<u8>,
    stderr_preview: Vec<u8>,
    truncated: bool,
}

impl Row {
    pub(super) fn job(self, attempts: Vec<Attempt>, artefacts: Vec<Artefact>) -> Answer<Job> {
        let report = self.report.map(|report| report.0);
        Ok(Job {
            id: JobId::from_uuid(self.id),
            kind: from_word(&self.kind)?,
            name: self.name,
            state: from_word(&self.state)?,
            outcome: self.outcome.as_deref().map(from_word).transpose()?,
            limits_hit: report.as_ref().map(|report| report.limits_hit.clone()).unwrap_or_default(),
            priority: from_word(&self.priority)?,
            labels: self.labels,
            language: self.language,
            image: self.image,
            entry: self.entry,
            limits: self.limits.map(|limits| limits.0),
            owner: owner(self.owner)?,
            created_at: self.created_at,
            run_at: self.due_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            cancel_asked_at: self.cancel_asked_at,
            retries: self.retries,
            retried: self.retried,
            used: report.as_ref().map(|report| report.used),
            isolation: report.and_then(|report| report.isolation),
            output: Output {
                stdout: written(self.stdout_bytes, self.stdout_preview),
                stderr: written(self.stderr_bytes, self.stderr_preview),
                truncated: self.truncated,
            },
            artefacts,
            attempts,
        })
    }
}

fn owner(columns: OwnerColumns) -> Result<OwnerView, Error> {
    Ok(match Owner::try_from(columns)? {
        Owner::Caller => OwnerView::Caller,
        Owner::GraderRun => OwnerView::GraderRun,
        Owner::Sample { run, item } => OwnerView::Sample { run, item },
        Owner::Grade { run, item, grader } => OwnerView::Grade { run, item, grader },
    })
}

fn written(bytes: i64, preview: Vec<u8>) -> Written {
    let cut = usize::try_from(bytes).is_ok_and(|bytes| bytes > preview.len());
    Written { bytes, preview: Preview::of(preview, cut) }
}

impl Preview {
    /// `cut`: there is more, so the last character may be half there.
    fn of(mut bytes: Vec<u8>, cut: bool) -> Self {
        if cut
            && let Err(error) = std::str::from_utf8(&bytes)
            && error.error_len().is_none()
        {
            bytes.truncate(error.valid_up_to());
        }
        match String::from_utf8(bytes) {
            Ok(data) => Self::Utf8 { data },
            Err(error) => Self::Base64 { data: BASE64_STANDARD.encode(error.as_bytes()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_text_only_if_it_is() {
        let utf8 = |data: &str| Preview::Utf8 { data: data.to_owned() };
        let euro = "a€".as_bytes();
        assert_eq!(Preview::of(euro.to_vec(), false), utf8("a€"));
        assert_eq!(Preview::of(euro[..2].to_vec(), true), utf8("a"));
        assert_eq!(Preview::of(euro[..2].to_vec(), false), Preview::Base64 { data: "YeI=".into() });
        assert_eq!(Preview::of(b"\xff\0".to_vec(), true), Preview::Base64 { data: "/wA=".into() });
    }
}
