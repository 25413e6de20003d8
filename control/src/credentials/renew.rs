//! Rotation of our own keys: what was encrypted or sealed with an older one is done again with the current one.

use super::locked::Kept;
use crate::{
    app::App,
    audit::{self, Note},
    error::Error,
    roles::Action,
    vault::Progress,
};
use alphagate_contract::id::{CredentialId, OrgId};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

/// Which credentials are outdated, whatever data key they are under: not encrypted with one yet, sealed to an older key of
/// the edge, or with a copy that is not kept any more or is under an older entry of the ring.
macro_rules! outdated {
    () => {
        "(data_key IS NULL OR seal_kid <> $1 OR (vault_kid IS NOT NULL AND (NOT copies OR vault_kid <> $2)))"
    };
}
pub(super) use outdated;

/// Encrypts and seals anew what is under an older key: at most `limit` credentials.
pub(crate) async fn renew_outdated(app: &App, limit: u32) -> Result<Progress, Error> {
    let mut progress = Progress::default();
    let mut after = (Uuid::nil(), Uuid::nil());
    while progress.done < limit && progress.failed < limit {
        let page: Vec<(Uuid, Uuid)> = sqlx::query_as(concat!(
            "SELECT org_id, id FROM credentials, vault_move WHERE ",
            outdated!(),
            " AND (org_id, id) > ($3, $4) ORDER BY org_id, id LIMIT $5"
        ))
        .bind(&app.settings().seal_public_keys.kid)
        .bind(app.vault().texts().kid())
        .bind(after.0)
        .bind(after.1)
        .bind(i64::from(limit - progress.done))
        .fetch_all(app.system())
        .await?;
        let Some(last) = page.last() else { break };
        after = *last;
        for (org, id) in page {
            count(&mut progress, app, OrgId::from_uuid(org), CredentialId::from_uuid(id)).await;
        }
    }
    let mut system = app.system().acquire().await?;
    Ok(Progress { left: super::standing(app, &mut system).await?.outdated, ..progress })
}

/// Encrypts the org's credentials that are under another data key than this one: at most `limit`.
pub(crate) async fn renew_of_org(
    app: &App,
    org: OrgId,
    data_key: i32,
    limit: u32,
) -> Result<Progress, Error> {
    let mut progress = Progress::default();
    let ids = under_another(app, org, data_key, Some(limit)).await?;
    for id in ids {
        count(&mut progress, app, org, id).await;
    }
    let left = under_another(app, org, data_key, None).await?.len();
    Ok(Progress { left: i64::try_from(left).unwrap_or(i64::MAX), ..progress })
}

async fn under_another(
    app: &App,
    org: OrgId,
    data_key: i32,
    limit: Option<u32>,
) -> Result<Vec<CredentialId>, Error> {
    let mut tx = app.tenants().begin(org).await?;
    let ids: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT id FROM credentials WHERE org_id = $1 AND data_key IS DISTINCT FROM $2 ORDER BY id LIMIT $3",
    )
    .bind(org.uuid())
    .bind(data_key)
    .bind(limit.map(i64::from))
    .fetch_all(&mut *tx)
    .await?;
    Ok(ids.into_iter().map(|(id,)| CredentialId::from_uuid(id)).collect())
}

/// The lowest number of a data key that a credential of the org is under.
pub(crate) async fn oldest_data_key(db: &mut PgConnection, org: OrgId) -> Result<Option<i32>, Error> {
    let (oldest,): (Option<i32>,) = sqlx::query_as("SELECT min(data_key) FROM credentials WHERE org_id = $1")
        .bind(org.uuid())
        .fetch_one(db)
        .await?;
    Ok(oldest)
}

async fn count(progress: &mut Progress, app: &App, org: OrgId, id: CredentialId) {
    match renew(app, org, id).await {
        Ok(()) => progress.done += 1,
        Err(error) => {
            progress.failed += 1;
            tracing::error!(%error, %org, %id, "a credential cannot be sealed anew");
        }
    }
}

async fn renew(app: &App, org: OrgId, id: CredentialId) -> Result<(), Error> {
    let mut tx = app.tenants().begin(org).await?;
    let Some(kept) = Kept::lock(&mut tx, org, id).await? else { return Ok(()) };
    let secret = kept.open(app, &mut tx, org, id).await?;
    kept.replace(app, &mut tx, (org, id), &secret, false).await?;
    let after = Kept::lock(&mut tx, org, id).await?;
    let note = Note::by_system(org, Action::CredentialsWrite, "seal anew", "credential", id)
        .before(&under(Some(&kept)))
        .after(&under(after.as_ref()));
    audit::record(app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(())
}

fn under(kept: Option<&Kept>) -> serde_json::Value {
    json!({"data_key": kept.and_then(|kept| kept.data_key), "seal": kept.map(|kept| &kept.seal_kid)})
}
