//! `DELETE /v1/evals/{id}`: with its runs, whatever they are doing.

use super::stop;
use crate::{
    app::App,
    audit::{self, Note},
    error::{Answer, Error},
    params::Id,
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::{
    id::{EvalId, OrgId, RunId},
    problem::Code,
};
use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// The answer, as OpenAI's SDKs read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct DeletedEval {
    object: &'static str,
    deleted: bool,
    eval_id: EvalId,
}

/// Deletes an eval with its runs, whatever they are doing.
#[utoipa::path(
    delete,
    path = "/v1/evals/{id}",
    params(("id" = EvalId, Path)),
    responses((status = 200, body = DeletedEval), (status = 409, description = "conflict")),
)]
pub(crate) async fn delete(
    caller: Evaluator,
    State(app): State<App>,
    Id(id): Id<EvalId>,
) -> Answer<Json<DeletedEval>> {
    let mut tx = app.tenants().begin(caller.org).await?;
    let runs = lock(&mut tx, caller.org, id).await?.ok_or(Code::NotFound)?;
    stop::delete(&app, &mut tx, caller.org, &runs).await?;
    sqlx::query("DELETE FROM evals WHERE org_id = $1 AND id = $2")
        .bind(caller.org.uuid())
        .bind(id.uuid())
        .execute(&mut *tx)
        .await?;
    let note = Note::of(&caller, Action::EvalsRun, "delete", "eval", id).before(&json!({"runs": runs}));
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(Json(DeletedEval { object: "eval.deleted", deleted: true, eval_id: id }))
}

/// Keeps new runs away, and gives those that there are.
async fn lock(db: &mut PgConnection, org: OrgId, eval: EvalId) -> Result<Option<Vec<RunId>>, Error> {
    let found: Option<(Uuid,)> =
        sqlx::query_as("SELECT id FROM evals WHERE org_id = $1 AND id = $2 FOR UPDATE")
            .bind(org.uuid())
            .bind(eval.uuid())
            .fetch_optional(&mut *db)
            .await?;
    if found.is_none() {
        return Ok(None);
    }
    let runs: Vec<(Uuid,)> =
        sqlx::query_as("SELECT id FROM eval_runs WHERE org_id = $1 AND eval_id = $2 ORDER BY id")
            .bind(org.uuid())
            .bind(eval.uuid())
            .fetch_all(db)
            .await?;
    Ok(Some(runs.into_iter().map(|(id,)| RunId::from_uuid(id)).collect()))
}
