//! `POST /v1/jobs/{id}/retry`: an ended job runs again, a parked one too, with all its chances. Its attempts stay listed.

use super::{create::changed, owner::OwnerColumns};
use crate::{
    app::App,
    audit::{self, Note},
    blobs,
    error::{Answer, Error},
    events::{self, Notice},
    params::Id,
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::{
    id::{JobId, OrgId},
    problem::Code,
};
use axum::extract::State;
use sqlx::PgConnection;
use uuid::Uuid;

#[derive(sqlx::FromRow)]
struct Row {
    ended: bool,
    #[sqlx(flatten)]
    owner: OwnerColumns,
}

/// Runs an ended job again, a parked one too, with all its chances.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/retry",
    params(("id" = JobId, Path)),
    responses((status = 200, body = super::view::Job), (status = 409, description = "conflict")),
)]
pub(crate) async fn retry(evaluator: Evaluator, State(app): State<App>, Id(job): Id<JobId>) -> Answer {
    let org = evaluator.org;
    let mut tx = app.tenants().begin(org).await?;
    let row: Option<Row> = sqlx::query_as(
        "SELECT ended_at IS NOT NULL AS ended, owner, owner_run, owner_item, owner_grader
         FROM jobs WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let row = row.ok_or(Code::NotFound)?;
    if !row.ended {
        return Err(Error::conflict("This job has not ended."));
    }
    if row.owner.owner != "caller" {
        return Err(Error::conflict("This job belongs to a run, which has counted it. Start another run."));
    }
    forget(&mut tx, org, job).await?;
    sqlx::query(
        "UPDATE jobs SET state = 'queued', due_at = now(),
            effective_at = now() + CASE priority WHEN 'high' THEN -1 WHEN 'low' THEN 1 ELSE 0 END * $3 * interval '1 second',
            retried = 0, losses = 0, refusals = 0, crashes = 0, cancel_asked_at = NULL, started_at = NULL, outcome = NULL,
            report = NULL, result = NULL, ended_at = NULL, runner_id = NULL, attempt_id = NULL, next_chunk = 0,
            stdout_bytes = 0, stderr_bytes = 0, truncated = false, stdout_blob = NULL, stderr_blob = NULL,
            stdout_preview = '', stderr_preview = ''
         WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .bind(super::Priority::Low.offset_s())
    .execute(&mut *tx)
    .await?;
    events::notify(&mut tx, Notice::Work).await?;
    events::notify(&mut tx, Notice::Job(job)).await?;
    audit::record(&app, &mut tx, Note::of(&evaluator, Action::JobsRun, "retry", "job", job)).await?;
    let answer = changed(&mut tx, org, job).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Lets go of everything that a job has left behind.
pub(super) async fn forget(db: &mut PgConnection, org: OrgId, job: JobId) -> Answer<()> {
    let of_job: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT blob FROM jobs, unnest(ARRAY[stdout_blob, stderr_blob]) AS blob
         WHERE org_id = $1 AND id = $2 AND blob IS NOT NULL
         UNION ALL
         SELECT blob_id FROM job_artefacts WHERE org_id = $1 AND job_id = $2 AND blob_id IS NOT NULL",
    )
    .bind(org.uuid())
    .bind(job.uuid())
    .fetch_all(&mut *db)
    .await?;
    let blobs: Vec<Uuid> = of_job.into_iter().map(|(blob,)| blob).collect();
    blobs::doom(db, org, &blobs).await?;
    for sql in [
        "DELETE FROM job_artefacts WHERE org_id = $1 AND job_id = $2",
        "DELETE FROM job_output WHERE org_id = $1 AND job_id = $2",
    ] {
        sqlx::query(sql).bind(org.uuid()).bind(job.uuid()).execute(&mut *db).await?;
    }
    Ok(())
}
