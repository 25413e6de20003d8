//! `DELETE /v1/files/{id}`. Lines that a run has yet to read cannot be deleted.

use crate::{
    app::App,
    audit::{self, Note},
    error::{Answer, Error},
    params::Id,
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::{id::FileId, problem::Code};
use axum::{Json, extract::State};
use serde::Serialize;

/// The answer.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DeletedFile)]
pub(crate) struct Deleted {
    id: FileId,
    object: &'static str,
    deleted: bool,
}

/// Deletes a file whose lines no run has yet to read.
#[utoipa::path(
    delete,
    path = "/v1/files/{id}",
    params(("id" = FileId, Path)),
    responses((status = 200, body = Deleted), (status = 409, description = "conflict")),
)]
pub(crate) async fn delete(
    caller: Evaluator,
    State(app): State<App>,
    id: Result<Id<FileId>, Error>,
) -> Answer<Json<Deleted>> {
    let Id(id) = id?;
    let mut tx = app.tenants().begin(caller.org).await?;
    let gone = sqlx::query("DELETE FROM files WHERE org_id = $1 AND id = $2 AND digest IS NOT NULL")
        .bind(caller.org.uuid())
        .bind(id.uuid())
        .execute(&mut *tx)
        .await?;
    if gone.rows_affected() == 0 {
        return Err(Code::NotFound.into());
    }
    audit::record(&app, &mut tx, Note::of(&caller, Action::EvalsRun, "delete", "file", id)).await?;
    tx.commit().await?;
    Ok(Json(Deleted { id, object: "file", deleted: true }))
}
