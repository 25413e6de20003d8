//! `DELETE /v1/jobs/{id}` of an ended job, and the end of those that are older than their org keeps them.

use super::retry::forget;
use crate::{
    app::App,
    audit::{self, Note},
    error::{Answer, Error},
    params::Id,
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::{
    id::{JobId, OrgId},
    problem::Code,
};
use axum::{extract::State, http::StatusCode};
use sqlx::PgConnection;
use uuid::Uuid;

/// How long an ended job is kept, unless the operator says otherwise, days.
const RETENTION_DAYS: i32 = 30;
/// Most jobs that one round of housekeeping deletes: the next one goes on.
const OLD_MAX: i64 = 5_000;

/// Deletes a job that has ended.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    params(("id" = JobId, Path)),
    responses((status = 204), (status = 409, description = "conflict")),
)]
pub(crate) async fn delete(
    evaluator: Evaluator,
    State(app): State<App>,
    Id(job): Id<JobId>,
) -> Answer<StatusCode> {
    let mut tx = app.tenants().begin(evaluator.org).await?;
    let found: Option<(bool,)> =
        sqlx::query_as("SELECT ended_at IS NOT NULL FROM jobs WHERE org_id = $1 AND id = $2 FOR UPDATE")
            .bind(evaluator.org.uuid())
            .bind(job.uuid())
            .fetch_optional(&mut *tx)
            .await?;
    let (ended,) = found.ok_or(Code::NotFound)?;
    if !ended {
        return Err(Error::conflict("This job has not ended. Cancel it first."));
    }
    remove(&mut tx, evaluator.org, job).await?;
    audit::record(&app, &mut tx, Note::of(&evaluator, Action::JobsRun, "delete", "job", job)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(db: &mut PgConnection, org: OrgId, job: JobId) -> Answer<()> {
    forget(db, org, job).await?;
    sqlx::query("DELETE FROM jobs WHERE org_id = $1 AND id = $2 AND ended_at IS NOT NULL")
        .bind(org.uuid())
        .bind(job.uuid())
        .execute(db)
        .await?;
    Ok(())
}

/// Deletes jobs that ended longer ago than their org keeps them; gives how many.
pub(crate) async fn delete_old(app: &App) -> Answer<usize> {
    let old: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT old.org_id, old.id
         FROM (SELECT DISTINCT org_id FROM job_queues) AS queues LEFT JOIN job_settings USING (org_id)
         CROSS JOIN LATERAL (
            SELECT jobs.org_id, jobs.id FROM jobs
            WHERE jobs.org_id = queues.org_id
                AND ended_at < now() - coalesce(retention_days, $1) * interval '1 day'
            ORDER BY ended_at LIMIT $2
         ) AS old
         LIMIT $2",
    )
    .bind(RETENTION_DAYS)
    .bind(OLD_MAX)
    .fetch_all(app.system())
    .await?;
    for (org, job) in &old {
        let (org, job) = (OrgId::from_uuid(*org), JobId::from_uuid(*job));
        let mut tx = app.tenants().begin(org).await?;
        remove(&mut tx, org, job).await?;
        tx.commit().await?;
    }
    Ok(old.len())
}
