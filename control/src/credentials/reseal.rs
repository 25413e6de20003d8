//! Rotation of our own keys: what was encrypted or sealed with an older one is done again with the current one.

use super::{lock_away, purpose, write_record};
use crate::{
    app::App,
    audit::{self, Note},
    error::Error,
    roles::Action,
};
use alphagate_contract::{
    id::{CredentialId, OrgId},
    secret::Secret,
};
use serde_json::json;
use uuid::Uuid;

/// Most credentials of one round; the next round goes on.
const ROUND_MAX: i64 = 500;

/// Encrypts and seals anew what is under an older key; gives how many.
pub(crate) async fn reseal_outdated(app: &App) -> Result<usize, Error> {
    let outdated: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT org_id, id FROM credentials WHERE vault_kid <> $1 OR seal_kid <> $2 ORDER BY org_id, id LIMIT $3",
    )
    .bind(app.vault().kid())
    .bind(&app.settings().seal_public_keys.kid)
    .bind(ROUND_MAX)
    .fetch_all(app.system())
    .await?;
    let mut done = 0;
    for (org, id) in outdated {
        let (org, id) = (OrgId::from_uuid(org), CredentialId::from_uuid(id));
        match reseal(app, org, id).await {
            Ok(()) => done += 1,
            Err(error) => tracing::error!(%error, %org, %id, "a credential cannot be sealed anew"),
        }
    }
    Ok(done)
}

async fn reseal(app: &App, org: OrgId, id: CredentialId) -> Result<(), Error> {
    let mut tx = app.tenants().begin(org).await?;
    let row: Option<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT origin, secret FROM credentials WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((origin, sealed)) = row else { return Ok(()) };
    let clear = app.vault().open(&purpose(org, id), &sealed);
    let clear = clear.and_then(|bytes| String::from_utf8(bytes).ok()).map(Secret::new);
    let secret = clear
        .ok_or_else(|| Error::internal("the secret does not open: is its key still in AG_VAULT_RING?"))?;
    sqlx::query(
        "UPDATE credentials SET secret = $3, vault_kid = $4, seal_kid = $5 WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(lock_away(app, org, id, &secret)?)
    .bind(app.vault().kid())
    .bind(&app.settings().seal_public_keys.kid)
    .execute(&mut *tx)
    .await?;
    write_record(app, &mut tx, org, id, &origin, &secret).await?;
    let kids = json!({"vault": app.vault().kid(), "seal": app.settings().seal_public_keys.kid});
    let note = Note::by_system(org, Action::CredentialsWrite, "seal anew", "credential", id).after(&kids);
    audit::record(app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(())
}
