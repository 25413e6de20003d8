//! `DELETE /v1/policies/{id}`: refused by a foreign key while a version that can be served refers to it.

use super::read;
use crate::{
    app::App,
    audit::Note,
    change::{Change, Changed, Deleted, Effect},
    error::Answer,
    params::Id,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::id::PolicyId;
use axum::{extract::State, http::StatusCode};

/// Deletes a policy with its revisions, if no version that can be served refers to it.
#[utoipa::path(
    delete,
    path = "/v1/policies/{id}",
    params(("id" = PolicyId, Path)),
    responses(
        (status = 200, body = Changed<Deleted<PolicyId>>),
        (status = 409, description = "conflict"),
    ),
)]
pub(crate) async fn delete(admin: Admin, State(app): State<App>, Id(id): Id<PolicyId>) -> Answer {
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    read::lock(change.db(), admin.org, id).await?;
    let before = read::find(change.db(), admin.org, id).await?;
    sqlx::query("DELETE FROM policies WHERE org_id = $1 AND id = $2")
        .bind(admin.org.uuid())
        .bind(id.uuid())
        .execute(change.db())
        .await?;
    let note = Note::of(&admin, Action::PoliciesWrite, "delete", "policy", id).before(&before);
    change.record(note).await?;
    change.finish(StatusCode::OK, Effect::Plain, &Deleted::new(id)).await
}
