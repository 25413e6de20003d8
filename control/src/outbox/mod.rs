//! The outbox: what the edge has yet to be told, org by org, oldest first.
//!
//! A record's outbox row is written in the transaction that changes it, so nothing is lost if the process dies between
//! commit and push. One org is pushed by one process at a time (an advisory lock that dies with its connection), and
//! rows leave in the order of their ids: nothing arrives out of order, however many replicas there are.

mod courier;
mod desk;
mod edge;
mod push;

pub(crate) use courier::run;
pub use courier::{Courier, Inbox};
pub(crate) use edge::EdgeClient;

use crate::error::Error;
use alphagate_contract::{id::OrgId, record::RecordKey};
use sqlx::PgConnection;

/// Channel of NOTIFY that wakes the loops of all replicas.
const CHANNEL: &str = "alphagate_outbox";

/// Adds a record to the outbox of its org; the loops wake up when the transaction commits.
pub(crate) async fn enqueue(
    db: &mut PgConnection,
    org: OrgId,
    key: &RecordKey,
    revision: i64,
    value: &str,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO outbox (org_id, record_key, revision, payload) VALUES ($1, $2, $3, $4::text::json)",
    )
    .bind(org.uuid())
    .bind(key.to_string())
    .bind(revision)
    .bind(value)
    .execute(&mut *db)
    .await?;
    sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(org.to_string()).execute(db).await?;
    Ok(())
}
