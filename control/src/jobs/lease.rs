//! Leases: renewed by who holds them, taken back when they never arrived, lost when they run out.
//!
//! Every comparison is the database's own. A lease that has run out puts its job back into the queue; until somebody else
//! takes it, the attempt may still renew, write and finish.

use super::{
    settle::{self, Seen},
    share,
};
use crate::{
    app::App,
    error::{Answer, Error},
    events::{self, Notice},
};
use alphagate_contract::{
    id::{AttemptId, JobId, OrgId, RunnerId},
    job::dispatch::Held,
};
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// How long a runner may go on with an attempt that it was told to stop, milliseconds: then the lease is left to run out.
const STOP_MAX_MS: i64 = 30_000;
/// Most lost leases that one look ends: the next one finds the rest.
const LOST_MAX: i64 = 100;

/// Renews what a runner holds; gives what is not its own any more.
pub(crate) async fn renew(app: &App, runner: RunnerId, token: Uuid, held: Vec<Held>) -> Answer<Vec<Held>> {
    let mut system = app.system().acquire().await?;
    let renewed: Vec<(Uuid,)> = sqlx::query_as(
        "UPDATE jobs SET lease_until = now() + $3 * interval '1 millisecond', acknowledged = true, runner_id = $4
         FROM unnest($1::uuid[], $2::uuid[]) AS held (job, attempt)
         WHERE jobs.id = held.job AND attempt_id = held.attempt AND token_id = $5
            AND state IN ('starting', 'running')
            AND (cancel_asked_at IS NULL OR cancel_asked_at > now() - $6 * interval '1 millisecond')
         RETURNING attempt_id",
    )
    .bind(held.iter().map(|held| held.job.uuid()).collect::<Vec<_>>())
    .bind(held.iter().map(|held| held.attempt.uuid()).collect::<Vec<_>>())
    .bind(lease_ms(app))
    .bind(runner.uuid())
    .bind(token)
    .bind(STOP_MAX_MS)
    .fetch_all(&mut *system)
    .await?;
    let renewed: HashSet<Uuid> = renewed.into_iter().map(|(attempt,)| attempt).collect();
    take_back(app, &mut system, runner, &held).await?;
    drop(system);
    let mut lost = Vec::new();
    for held in held {
        if !renewed.contains(&held.attempt.uuid()) && !revive(app, runner, token, held).await? {
            lost.push(held);
        }
    }
    Ok(lost)
}

pub(super) fn lease_ms(app: &App) -> i64 {
    i64::try_from(app.settings().lease.as_millis()).unwrap_or(i64::MAX)
}

/// How long after a lease ran out its own runner may have the job anew, milliseconds: a runner renews whatever it still
/// holds before it claims, so by then it has dropped it, or never got it; and it may be the only runner that there is.
pub(super) fn forsaken_ms(app: &App) -> i64 {
    lease_ms(app).saturating_mul(2)
}

/// A runner that leaves holds nothing any more: its leases run out now.
pub(crate) async fn give_back(app: &App, runner: RunnerId) -> Answer<()> {
    sqlx::query(
        "UPDATE jobs SET lease_until = now() WHERE runner_id = $1 AND state IN ('starting', 'running')",
    )
    .bind(runner.uuid())
    .execute(app.system())
    .await?;
    Ok(())
}

/// Takes back claims whose answers never arrived: the runner does not name them, half a lease after they were made.
async fn take_back(app: &App, db: &mut PgConnection, runner: RunnerId, held: &[Held]) -> Answer<()> {
    let taken = sqlx::query(
        "WITH undelivered AS (
            SELECT org_id, id, attempt_id FROM jobs
            WHERE runner_id = $1 AND state = 'starting' AND NOT acknowledged
                AND claimed_at < now() - $2 * interval '1 millisecond' AND attempt_id <> ALL($3)
            FOR NO KEY UPDATE SKIP LOCKED
         ), back AS (
            UPDATE jobs SET state = 'queued', attempts = attempts - 1, attempt_id = NULL, runner_id = NULL,
                lease_until = NULL
            FROM undelivered WHERE jobs.org_id = undelivered.org_id AND jobs.id = undelivered.id
         )
         DELETE FROM job_attempts USING undelivered
         WHERE job_attempts.org_id = undelivered.org_id AND job_attempts.id = undelivered.attempt_id",
    )
    .bind(runner.uuid())
    .bind(lease_ms(app) / 2)
    .bind(held.iter().map(|held| held.attempt.uuid()).collect::<Vec<_>>())
    .execute(&mut *db)
    .await?;
    if taken.rows_affected() > 0 {
        tracing::info!(%runner, jobs = taken.rows_affected(), "claims that never arrived were taken back");
        events::notify(db, Notice::Work).await?;
    }
    Ok(())
}

/// Gives a lost lease back to the attempt that had it, if nobody has taken over and its org has room.
async fn revive(app: &App, runner: RunnerId, token: Uuid, held: Held) -> Answer<bool> {
    let mut tx = app.system().begin().await?;
    let found: Option<(Uuid, String)> = sqlx::query_as(
        "SELECT org_id, kind FROM jobs
         WHERE id = $1 AND attempt_id = $2 AND token_id = $3 AND state = 'queued' AND lease_until IS NOT NULL
            AND cancel_asked_at IS NULL",
    )
    .bind(held.job.uuid())
    .bind(held.attempt.uuid())
    .bind(token)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((org, kind)) = found else { return Ok(false) };
    sqlx::query("SELECT FROM job_queues WHERE org_id = $1 AND kind = $2 FOR NO KEY UPDATE")
        .bind(org)
        .bind(&kind)
        .execute(&mut *tx)
        .await?;
    let revived = sqlx::query(
        "UPDATE jobs SET state = CASE WHEN started_at IS NULL THEN 'starting' ELSE 'running' END, losses = losses - 1,
            lease_until = now() + $5 * interval '1 millisecond', acknowledged = true, runner_id = $6, claimed_at = now()
         WHERE org_id = $1 AND id = $2 AND attempt_id = $3 AND state = 'queued' AND lease_until IS NOT NULL
            AND coalesce((SELECT CASE $4 WHEN 'sandbox' THEN sandbox_max ELSE sample_max END
                    FROM job_settings WHERE org_id = $1), $7)
                > (SELECT count(*) FROM jobs WHERE org_id = $1 AND kind = $4 AND state IN ('starting', 'running'))",
    )
    .bind(org)
    .bind(held.job.uuid())
    .bind(held.attempt.uuid())
    .bind(&kind)
    .bind(lease_ms(app))
    .bind(runner.uuid())
    .bind(share::default_max(settle::kind_of(&kind)?))
    .execute(&mut *tx)
    .await?;
    if revived.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("UPDATE job_attempts SET ended_at = NULL WHERE org_id = $1 AND id = $2")
        .bind(org)
        .bind(held.attempt.uuid())
        .execute(&mut *tx)
        .await?;
    events::notify(&mut tx, Notice::Job(held.job)).await?;
    tx.commit().await?;
    Ok(true)
}

/// Ends the attempts whose leases have run out; gives how many. Only after a [beat](super::pulse::beat).
pub(crate) async fn end_lost(app: &App) -> Answer<usize> {
    let lost: Vec<(Uuid, Uuid, Uuid)> = sqlx::query_as(
        "SELECT org_id, id, attempt_id FROM jobs
         WHERE state IN ('starting', 'running') AND lease_until < now()
         LIMIT $1",
    )
    .bind(LOST_MAX)
    .fetch_all(app.system())
    .await?;
    for (org, job, attempt) in &lost {
        let held = Held { job: JobId::from_uuid(*job), attempt: AttemptId::from_uuid(*attempt) };
        tracing::info!(job = %held.job, attempt = %held.attempt, "a lease has run out");
        match settle::finish(app, OrgId::from_uuid(*org), held, Seen::LostLease).await {
            Ok(_) | Err(Error::Problem(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(lost.len())
}

/// Attempts of a runner that somebody wants to stop.
pub(crate) async fn to_stop(app: &App, runner: RunnerId) -> Answer<Vec<Held>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT id, attempt_id FROM jobs
         WHERE runner_id = $1 AND state IN ('starting', 'running') AND cancel_asked_at IS NOT NULL
         ORDER BY id",
    )
    .bind(runner.uuid())
    .fetch_all(app.system())
    .await?;
    let held = |(job, attempt)| Held { job: JobId::from_uuid(job), attempt: AttemptId::from_uuid(attempt) };
    Ok(rows.into_iter().map(held).collect())
}

/// Whose job it is, if a runner with this token had it last.
pub(crate) async fn org_of(app: &App, token: Uuid, job: JobId) -> Answer<Option<OrgId>> {
    let found: Option<(Uuid,)> = sqlx::query_as("SELECT org_id FROM jobs WHERE id = $1 AND token_id = $2")
        .bind(job.uuid())
        .bind(token)
        .fetch_optional(app.system())
        .await?;
    Ok(found.map(|(org,)| OrgId::from_uuid(org)))
}
