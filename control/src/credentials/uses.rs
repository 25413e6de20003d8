//! When a credential was last used and how often: from the usage events that the edge hands over, so no call writes it.

use alphagate_contract::id::{CredentialId, OrgId};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// How often one credential was used in a batch of events, and when last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    /// How often.
    pub(crate) times: i64,
    /// When last.
    pub(crate) last: DateTime<Utc>,
}

/// By owner and credential, in the order in which the rows are locked: so no two batches wait for each other.
pub(crate) type Uses = BTreeMap<(OrgId, CredentialId), Use>;

/// Notes uses; never in the future, whatever the edge's clock says. A credential that is not there any more is passed over.
pub(crate) async fn note_use(system: &mut PgConnection, uses: &Uses) -> Result<(), sqlx::Error> {
    for ((org, id), used) in uses {
        sqlx::query(
            "UPDATE credentials SET uses = uses + $3, last_used_at = greatest(last_used_at, least($4, now()))
             WHERE org_id = $1 AND id = $2",
        )
        .bind(org.uuid())
        .bind(id.uuid())
        .bind(used.times)
        .bind(used.last)
        .execute(&mut *system)
        .await?;
    }
    Ok(())
}
