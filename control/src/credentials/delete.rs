//! `DELETE /v1/credentials/{id}`: refused by foreign keys while a version or an install uses it.

use super::{locked::Kept, read};
use crate::{
    app::App,
    audit::Note,
    change::{Change, Changed, Deleted, Effect},
    error::Answer,
    outbox::records,
    params::Id,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    id::CredentialId,
    problem::Code,
    record::{RecordKey, RecordValue},
};
use axum::{extract::State, http::StatusCode};

/// Deletes a credential that no version and no install uses.
#[utoipa::path(
    delete,
    path = "/v1/credentials/{id}",
    params(("id" = CredentialId, Path)),
    responses(
        (status = 200, body = Changed<Deleted<CredentialId>>),
        (status = 409, description = "conflict"),
    ),
)]
pub(crate) async fn delete(admin: Admin, State(app): State<App>, Id(id): Id<CredentialId>) -> Answer {
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    Kept::lock(change.db(), admin.org, id).await?.ok_or(Code::NotFound)?;
    let before = read::find(change.db(), admin.org, id).await?;
    sqlx::query("DELETE FROM credentials WHERE org_id = $1 AND id = $2")
        .bind(admin.org.uuid())
        .bind(id.uuid())
        .execute(change.db())
        .await?;
    records::put(change.db(), admin.org, RecordKey::Credential(id), &RecordValue::Gone).await?;
    let note = Note::of(&admin, Action::CredentialsWrite, "delete", "credential", id).before(&before);
    change.record(note).await?;
    change.finish(StatusCode::OK, Effect::Plain, &Deleted::new(id)).await
}
