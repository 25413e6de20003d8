//! `DELETE /v1/installs/{id}`: the name is free again, and stands for nothing at the edge.

use super::{read, updates};
use crate::{
    app::App,
    audit::Note,
    change::{Change, Changed, Deleted, Effect},
    error::Answer,
    names,
    outbox::records,
    params::Id,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    id::InstallId,
    record::{RecordKey, RecordValue},
};
use axum::{extract::State, http::StatusCode};

/// Deletes an install: its name is free again.
#[utoipa::path(
    delete,
    path = "/v1/installs/{id}",
    params(("id" = InstallId, Path)),
    responses((status = 200, body = Changed<Deleted<InstallId>>)),
)]
pub(crate) async fn delete(admin: Admin, State(app): State<App>, Id(id): Id<InstallId>) -> Answer {
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    let mut install = read::lock(change.db(), admin.org, id).await?;
    updates::add(&app, admin.org, std::slice::from_mut(&mut install)).await?;
    sqlx::query("DELETE FROM installs WHERE org_id = $1 AND id = $2")
        .bind(admin.org.uuid())
        .bind(id.uuid())
        .execute(change.db())
        .await?;
    let key = RecordKey::Name(admin.org, install.name.clone());
    records::put(change.db(), admin.org, key, &RecordValue::Gone).await?;
    names::release(change.db(), admin.org, &install.name).await?;
    let note = Note::of(&admin, Action::InstallsWrite, "delete", "install", id).before(&install);
    change.record(note).await?;
    change.finish(StatusCode::OK, Effect::Plain, &Deleted::new(id)).await
}
