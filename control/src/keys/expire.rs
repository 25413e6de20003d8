//! Expired keys are forgotten by the edge a day later: it refuses them by itself from the moment they expire, this only
//! keeps its store from growing for ever.

use super::{run_key, write_record};
use crate::{app::App, error::Error};
use alphagate_contract::id::{KeyId, OrgId};
use uuid::Uuid;

/// Most keys of one round; the next round goes on.
const ROUND_MAX: i64 = 500;

/// Takes expired keys from the edge; gives how many.
pub(crate) async fn forget_expired(app: &App) -> Result<usize, Error> {
    let expired: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT org_id, id FROM keys WHERE NOT gone AND expires_at < now() - interval '1 day'
         ORDER BY expires_at LIMIT $1",
    )
    .bind(ROUND_MAX)
    .fetch_all(app.system())
    .await?;
    for (org, key) in &expired {
        forget(app, OrgId::from_uuid(*org), KeyId::from_uuid(*key)).await?;
    }
    Ok(expired.len() + run_key::forget_expired(app).await?)
}

async fn forget(app: &App, org: OrgId, key: KeyId) -> Result<(), Error> {
    let mut tx = app.tenants().begin(org).await?;
    sqlx::query("UPDATE keys SET gone = true WHERE org_id = $1 AND id = $2")
        .bind(org.uuid())
        .bind(key.uuid())
        .execute(&mut *tx)
        .await?;
    write_record(&mut tx, org, key).await?;
    tx.commit().await?;
    Ok(())
}
