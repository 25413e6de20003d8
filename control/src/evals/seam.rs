//! What jobs and the gate call. To be filled.

use crate::{app::App, error::Error, jobs};
use alphagate_contract::id::{EvalId, OrgId, PublicationId, RunId};
use serde_json::Value;
use sqlx::PgConnection;

/// A run that is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewRun {
    /// The eval that is executed.
    pub(crate) eval: EvalId,
    /// For people.
    pub(crate) name: String,
    /// OpenAI's `data_source`, without `model`.
    pub(crate) data_source: Value,
    /// `name@version` or `name` of the endpoint under test.
    pub(crate) model: String,
    /// What it is to decide.
    pub(crate) publication: Option<PublicationId>,
}

// STUB in the branch `gate`, until the feature is here: rows without a driver.

pub(crate) async fn start_run(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    new: NewRun,
) -> Result<RunId, Error> {
    let id = app.new_id(RunId::new);
    sqlx::query(
        "INSERT INTO eval_runs (org_id, id, eval_id, name, model, data_source, data_digest, publication_id, total,
            grader_passed, grader_failed, grader_errored, grader_scores)
         VALUES ($1, $2, $3, $4, $5, $6, '', $7, 10, '{0}', '{0}', '{0}', '{0}')",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(new.eval.uuid())
    .bind(new.name)
    .bind(new.model)
    .bind(new.data_source)
    .bind(new.publication.map(PublicationId::uuid))
    .execute(db)
    .await?;
    Ok(id)
}

pub(crate) async fn cancel_run(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
) -> Result<(), Error> {
    let publication: Option<(Option<uuid::Uuid>,)> = sqlx::query_as(
        "UPDATE eval_runs SET status = 'canceled', ended_at = now()
         WHERE org_id = $1 AND id = $2 AND ended_at IS NULL RETURNING publication_id",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .fetch_optional(&mut *db)
    .await?;
    if let Some((Some(publication),)) = publication {
        crate::publications::run_ended(app, db, org, PublicationId::from_uuid(publication)).await?;
    }
    Ok(())
}

/// Takes what a job of an output item came to, in the transaction that ends the job. Late and repeated ends change nothing.
pub(crate) async fn job_ended(
    _app: &App,
    _db: &mut PgConnection,
    _org: OrgId,
    _ended: &jobs::Ended,
) -> Result<(), Error> {
    Ok(())
}
