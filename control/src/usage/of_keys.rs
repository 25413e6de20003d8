//! What was asked with some keys: as often as it really happened, because the edge writes an event for each.

use crate::error::Error;
use alphagate_contract::id::{KeyId, OrgId};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// What was asked with a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Requests that were billed.
    pub(crate) requests: i64,
    /// What they cost, millionths of a dollar.
    pub(crate) cost_micros: i64,
}

/// What was asked with each of these keys of an org, as far as the edge has handed it over.
pub(crate) async fn of_keys(
    db: &mut PgConnection,
    org: OrgId,
    keys: &[KeyId],
) -> Result<HashMap<KeyId, Spent>, Error> {
    let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
        "SELECT key_id, least(sum(requests), 9223372036854775807)::bigint,
            least(sum(cost_micros), 9223372036854775807)::bigint
         FROM usage_events WHERE org_id = $1 AND key_id = ANY($2) GROUP BY key_id",
    )
    .bind(org.uuid())
    .bind(keys.iter().map(|key| key.uuid()).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    let spent = |(key, requests, cost_micros)| (KeyId::from_uuid(key), Spent { requests, cost_micros });
    Ok(rows.into_iter().map(spent).collect())
}
