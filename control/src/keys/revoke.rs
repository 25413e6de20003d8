//! `DELETE /v1/keys/{id}`: the key never works again. As often as one likes; the first time counts.

use super::{read, write_record};
use crate::{
    app::App,
    audit::Note,
    change::{Change, Changed, Effect},
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    roles::{Action, Power},
};
use alphagate_contract::id::{KeyId, OrgId};
use axum::{extract::State, http::StatusCode};
use sqlx::PgConnection;

/// Revokes a key, for ever. As often as one likes; the first time counts.
#[utoipa::path(
    delete,
    path = "/v1/keys/{id}",
    params(("id" = KeyId, Path)),
    responses((status = 200, body = Changed<super::Key>)),
)]
pub(crate) async fn revoke(admin: Admin, State(app): State<App>, Id(id): Id<KeyId>) -> Answer {
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    lock(change.db(), admin.org, id).await?;
    let before = read::find(change.db(), admin.org, id).await?;
    admin.must_grant(Power::Scopes(before.scopes()), "id")?;
    mark_revoked(change.db(), admin.org, id).await?;
    let key = read::find(change.db(), admin.org, id).await?;
    let note = Note::of(&admin, Action::KeysWrite, "revoke", "key", id).before(&before).after(&key);
    change.record(note).await?;
    change.finish(StatusCode::OK, Effect::Revoked, &key).await
}

/// Holds the key's row until the transaction ends.
async fn lock(db: &mut PgConnection, org: OrgId, id: KeyId) -> Result<(), Error> {
    sqlx::query("SELECT FROM keys WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE")
        .bind(org.uuid())
        .bind(id.uuid())
        .execute(db)
        .await?;
    Ok(())
}

/// Revokes the key and its record; nothing happens to one that was revoked before.
pub(super) async fn mark_revoked(db: &mut PgConnection, org: OrgId, id: KeyId) -> Result<(), Error> {
    let revoked = sqlx::query(
        "UPDATE keys SET revoked_at = now(), gone = true WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .execute(&mut *db)
    .await?;
    if revoked.rows_affected() == 1 {
        write_record(db, org, id).await?;
    }
    Ok(())
}
