//! Into the queue, and out of it again when a run is canceled.
//!
//! Runners are woken when the caller's transaction commits, and not before.

use super::{NewJob, Priority, Work, owner::OwnerColumns};
use crate::{app::App, body::word, error::Error, events};
use alphagate_contract::{
    id::{JobId, OrgId, RunId, RunnerId},
    job::Kind,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// By how much a priority moves a job's place in the queue, seconds: long enough to matter in a queue of minutes, short
/// enough that nothing starves.
const PRIORITY_STEP_S: i64 = 600;

impl Priority {
    /// How much earlier (negative) or later than it is due the job counts as, seconds.
    pub(super) const fn offset_s(self) -> i64 {
        match self {
            Self::High => -PRIORITY_STEP_S,
            Self::Normal => 0,
            Self::Low => PRIORITY_STEP_S,
        }
    }
}

/// What the columns say of a job besides its specification.
struct Columns {
    kind: Kind,
    language: Option<&'static str>,
    image: Option<String>,
    entry: Option<String>,
    limits: Option<String>,
    spec: String,
    output_max_bytes: i64,
}

impl Columns {
    fn of(work: &Work) -> Result<Self, Error> {
        let spec = match work {
            Work::Sandbox(spec) => serde_json::to_string(spec),
            Work::Sample(spec) => serde_json::to_string(spec),
        };
        let sandbox = match work {
            Work::Sandbox(spec) => Some(spec),
            Work::Sample(_) => None,
        };
        let limits = sandbox.map(|spec| serde_json::to_string(&spec.limits)).transpose();
        Ok(Self {
            kind: work.kind(),
            language: sandbox.map(|spec| spec.language.as_str()),
            image: sandbox.map(|spec| spec.image.clone()),
            entry: sandbox.map(|spec| spec.entry.to_string()),
            limits: limits.map_err(Error::internal)?,
            spec: spec.map_err(Error::internal)?,
            output_max_bytes: sandbox
                .map_or(0, |spec| i64::try_from(spec.limits.output_bytes).unwrap_or(i64::MAX)),
        })
    }
}

/// Puts a job into the queue, in the caller's tenant transaction.
pub(crate) async fn enqueue(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    new: NewJob,
) -> Result<JobId, Error> {
    enqueue_named(app, db, org, None, &new).await
}

/// The same, with a name for people.
pub(super) async fn enqueue_named(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    name: Option<&str>,
    new: &NewJob,
) -> Result<JobId, Error> {
    let id = app.new_id(JobId::new);
    let columns = Columns::of(&new.work)?;
    let owner = OwnerColumns::from(new.owner);
    sqlx::query(
        "WITH queue AS (
            INSERT INTO job_queues (org_id, kind) VALUES ($1, $3) ON CONFLICT DO NOTHING
         )
         INSERT INTO jobs (org_id, id, kind, name, language, image, labels, priority, spec, output_max_bytes,
            owner, owner_run, owner_item, owner_grader, retries, due_at, effective_at, entry, limits)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::json, $10, $11, $12, $13, $14, $15,
            greatest($16, now()), greatest($16, now()) + $17 * interval '1 second', $20, $21::text::json)
         RETURNING pg_notify($18, $19)",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(word(columns.kind))
    .bind(name)
    .bind(columns.language)
    .bind(columns.image)
    .bind(&new.labels)
    .bind(word(new.priority))
    .bind(columns.spec)
    .bind(columns.output_max_bytes)
    .bind(owner.owner)
    .bind(owner.owner_run)
    .bind(owner.owner_item)
    .bind(owner.owner_grader)
    .bind(i32::try_from(new.retries).map_err(Error::internal)?)
    .bind(new.run_at)
    .bind(new.priority.offset_s())
    .bind(events::CHANNEL)
    .bind(events::Notice::Work.to_string())
    .bind(columns.entry)
    .bind(columns.limits)
    .execute(db)
    .await?;
    Ok(id)
}

/// Stops every job of a run: what is queued ends here, without its owner being told (it is the one that asks); what a
/// runner has is stopped there, and its end is told as canceled. Gives how many were stopped or are being stopped.
pub(crate) async fn cancel_run(
    _app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
) -> Result<u64, Error> {
    let stopped: Vec<(Uuid, Option<Uuid>)> = sqlx::query_as(
        "UPDATE jobs SET
            cancel_asked_at = coalesce(cancel_asked_at, now()),
            state = CASE state WHEN 'queued' THEN 'canceled' ELSE state END,
            ended_at = CASE state WHEN 'queued' THEN now() END
         WHERE org_id = $1 AND owner_run = $2 AND state IN ('queued', 'starting', 'running')
         RETURNING id, CASE WHEN ended_at IS NULL THEN runner_id END",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .fetch_all(&mut *db)
    .await?;
    let runners: std::collections::BTreeSet<Uuid> =
        stopped.iter().filter_map(|(_, runner)| *runner).collect();
    for runner in runners {
        events::notify(db, events::Notice::Runner(RunnerId::from_uuid(runner))).await?;
    }
    for (job, _) in &stopped {
        events::notify(db, events::Notice::Job(JobId::from_uuid(*job))).await?;
    }
    u64::try_from(stopped.len()).map_err(Error::internal)
}
