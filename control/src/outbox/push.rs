//! One pass over an org's outbox: lock, read, push, delete, until nothing is left or the edge does not accept.

use crate::{app::App, platform::Platform, settings::Settings};
use alphagate_contract::{id::OrgId, record::PUSH_MAX_RECORDS};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Most bytes of records in one push, unless a single one is larger: far below what a Worker's body may have.
const PUSH_MAX_BYTES: i64 = 1024 * 1024;
/// Most orgs that one poll wakes: the next poll finds the rest.
const DUE_MAX: i64 = 1_000;
/// From then on the wait no longer doubles: 2^20 times the base is beyond any maximum.
const DOUBLINGS_MAX: u32 = 20;

/// Nobody waits for the disk: what a crash brings back is pushed again, and the edge knows it by its revision.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Nothing is left.
    Drained,
    /// The edge did not accept, or the database was away; it is tried again later.
    Failed,
    /// Another replica is at it.
    Elsewhere,
}

enum Step {
    /// There is more, or may be.
    Sent,
    End(Pass),
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    record_key: String,
    revision: i64,
    payload: String,
    /// How many there are, as far as one push may reach.
    waiting: i64,
}

/// [`alphagate_contract::record::Push`], with the records' content to the letter.
#[derive(Serialize)]
struct Push<'a> {
    org: OrgId,
    records: Vec<PushRecord<'a>>,
}

#[derive(Serialize)]
struct PushRecord<'a> {
    key: &'a str,
    revision: i64,
    value: &'a RawValue,
}

/// Pushes everything that `org` has. `eager`: someone waits, so a wait after a failure is cut short. `accepted` is called when
/// the edge has all of it: from then on a failure means only that something is pushed again.
pub(super) async fn drain(
    app: &App,
    org: OrgId,
    eager: bool,
    stop: watch::Receiver<bool>,
    mut accepted: impl FnMut(),
) -> Pass {
    loop {
        match step(app, org, eager, &mut accepted).await {
            Ok(Step::End(pass)) => return pass,
            Ok(Step::Sent) if *stop.borrow() => return Pass::Failed,
            Ok(Step::Sent) => {}
            Err(error) => {
                tracing::warn!(%error, %org, "the outbox of an org cannot be read");
                return Pass::Failed;
            }
        }
    }
}

async fn step(app: &App, org: OrgId, eager: bool, mut accepted: impl FnMut()) -> Result<Step, sqlx::Error> {
    let mut tx = app.system().begin_with(BEGIN).await?;
    let (locked,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("outbox {org}"))
        .fetch_one(&mut *tx)
        .await?;
    if !locked {
        return Ok(Step::End(Pass::Elsewhere));
    }
    if !eager && waits(&mut tx, org).await? {
        return Ok(Step::End(Pass::Failed));
    }
    let rows = load(&mut tx, org).await?;
    if rows.is_empty() {
        return Ok(Step::End(Pass::Drained));
    }
    let sent = app.edge().push(app.platform(), body(org, &rows)?).await;
    let step = match sent {
        Ok(pushed) => {
            tracing::debug!(%org, records = rows.len(), applied = pushed.applied, "pushed");
            // What is committed from now on wakes another pass.
            let drained = is_all(&rows);
            if drained {
                accepted();
            }
            delete(&mut tx, org, &rows).await?;
            if drained { Step::End(Pass::Drained) } else { Step::Sent }
        }
        Err(error) => {
            let failures = note_failure(&mut tx, app, org).await?;
            tracing::warn!(%error, %org, failures, "a push was not accepted");
            Step::End(Pass::Failed)
        }
    };
    tx.commit().await?;
    Ok(step)
}

async fn waits(db: &mut PgConnection, org: OrgId) -> Result<bool, sqlx::Error> {
    let (waits,): (bool,) =
        sqlx::query_as("SELECT EXISTS (SELECT FROM outbox_backoff WHERE org_id = $1 AND retry_at > now())")
            .bind(org.uuid())
            .fetch_one(db)
            .await?;
    Ok(waits)
}

/// The oldest rows that fit into one push.
async fn load(db: &mut PgConnection, org: OrgId) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, record_key, revision, payload::text AS payload, waiting
         FROM (
            SELECT id, record_key, revision, payload, sum(octet_length(payload::text)) OVER (ORDER BY id) AS bytes,
                row_number() OVER (ORDER BY id) AS number, count(*) OVER () AS waiting
            FROM (SELECT id, record_key, revision, payload FROM outbox WHERE org_id = $1 ORDER BY id LIMIT $2) AS oldest
         ) AS measured
         WHERE bytes <= $3 OR number = 1
         ORDER BY id",
    )
    .bind(org.uuid())
    .bind(i64::try_from(PUSH_MAX_RECORDS).unwrap_or(i64::MAX))
    .bind(PUSH_MAX_BYTES)
    .fetch_all(db)
    .await
}

/// Whether nothing else was there when these were read.
fn is_all(rows: &[Row]) -> bool {
    rows.len() < PUSH_MAX_RECORDS && rows.iter().all(|row| usize::try_from(row.waiting) == Ok(rows.len()))
}

fn body(org: OrgId, rows: &[Row]) -> Result<Vec<u8>, sqlx::Error> {
    fn record(row: &Row) -> serde_json::Result<PushRecord<'_>> {
        let value = serde_json::from_str(&row.payload)?;
        Ok(PushRecord { key: &row.record_key, revision: row.revision, value })
    }
    let records = rows.iter().map(record).collect::<Result<_, _>>();
    let body = records.and_then(|records| serde_json::to_vec(&Push { org, records }));
    body.map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Deletes exactly what was pushed: a row with a smaller id may have been committed meanwhile.
async fn delete(db: &mut PgConnection, org: OrgId, rows: &[Row]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH forgiven AS (DELETE FROM outbox_backoff WHERE org_id = $1)
         DELETE FROM outbox WHERE org_id = $1 AND id = ANY($2)",
    )
    .bind(org.uuid())
    .bind(rows.iter().map(|row| row.id).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

async fn note_failure(db: &mut PgConnection, app: &App, org: OrgId) -> Result<i32, sqlx::Error> {
    let (failures,): (i32,) = sqlx::query_as(
        "INSERT INTO outbox_backoff (org_id, failures, retry_at) VALUES ($1, 1, now())
         ON CONFLICT (org_id) DO UPDATE SET failures = least(outbox_backoff.failures, 1000000) + 1
         RETURNING failures",
    )
    .bind(org.uuid())
    .fetch_one(&mut *db)
    .await?;
    let wait = backoff(app.settings(), app.platform(), u32::try_from(failures).unwrap_or(1));
    sqlx::query("UPDATE outbox_backoff SET retry_at = clock_timestamp() + $2 * interval '1 millisecond' WHERE org_id = $1")
        .bind(org.uuid())
        .bind(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
        .execute(db)
        .await?;
    Ok(failures)
}

/// Exponential backoff with full jitter: anything from nothing to the doubled base.
fn backoff(settings: &Settings, platform: &dyn Platform, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
    let cap = settings.outbox_backoff_base.saturating_mul(1 << doublings).min(settings.outbox_backoff_max);
    Duration::from_millis(platform.up_to(u64::try_from(cap.as_millis()).unwrap_or(u64::MAX)))
}

/// Orgs that have something in the outbox and are not waiting after a failure.
pub(super) async fn due(system: &PgPool) -> Result<Vec<OrgId>, sqlx::Error> {
    let orgs: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT DISTINCT outbox.org_id FROM outbox
         LEFT JOIN outbox_backoff USING (org_id)
         WHERE coalesce(outbox_backoff.retry_at <= now(), true)
         LIMIT $1",
    )
    .bind(DUE_MAX)
    .fetch_all(system)
    .await?;
    Ok(orgs.into_iter().map(|(org,)| OrgId::from_uuid(org)).collect())
}
