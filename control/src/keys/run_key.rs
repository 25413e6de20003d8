//! Keys of runs: what a run's samples and judges are asked with, for the names that the run was opened with.
//!
//! A key is derived from the key ring, the run and an epoch whenever it is needed: nothing of its text is stored, and it
//! is the same after a restart and in every replica. Opening a key again moves it to the next epoch, which ends every
//! older text. A key that is neither closed nor used ends by itself.

use crate::{app::App, error::Error, outbox::records};
use alphagate_contract::{
    id::{KeyId, OrgId, RunId},
    key::ApiKey,
    name::VersionedName,
    problem::Code,
    record::{KeyRecord, RecordKey, RecordValue},
    secret::Secret,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// How long a key lives after its last use, milliseconds: a sample that waits for a provider's quota to come back the
/// next day still finds it, and one that nobody closed is gone soon.
const LIFE_MS: i64 = 24 * 60 * 60 * 1000;
/// Most names of one key: the endpoint under test, and a judge in each of an eval's graders.
const MODELS_MAX: usize = 100;
/// How often a key is looked up while others move it to another entry of the ring: once is a rotation.
const DERIVE_TRIES: u32 = 3;
/// Most keys of one round of housekeeping; the next round goes on.
const ROUND_MAX: i64 = 500;

/// What a key is derived from, and what it may do.
#[derive(sqlx::FromRow)]
struct Row {
    epoch: i32,
    kid: String,
    models: Vec<String>,
    expires_at: DateTime<Utc>,
}

impl Row {
    /// The key; none if the ring has lost what it was derived from.
    fn derive(&self, app: &App, org: OrgId, run: RunId) -> Result<Option<ApiKey>, Error> {
        let epoch = u32::try_from(self.epoch).map_err(Error::internal)?;
        Ok(ApiKey::of_run(&app.settings().key_ring, &self.kid, org, run, epoch))
    }
}

/// Opens the key of a run for exactly these texts in `model`: names of the org, or `name@version` of its own endpoints,
/// live or not. A key that was opened before begins anew.
pub(crate) async fn open_run_key(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    only: Vec<String>,
) -> Result<(), Error> {
    let row: Row = sqlx::query_as(
        "INSERT INTO run_keys (org_id, run_id, epoch, kid, models, expires_at)
         VALUES ($1, $2, 1, $3, $4, now() + $5 * interval '1 millisecond')
         ON CONFLICT (org_id, run_id) DO UPDATE SET epoch = run_keys.epoch + 1, kid = excluded.kid,
            models = excluded.models, opened_at = now(), expires_at = excluded.expires_at, closed_at = NULL
         RETURNING epoch, kid, models, expires_at",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(app.settings().key_ring.current().0.as_str())
    .bind(models(only)?)
    .bind(LIFE_MS)
    .fetch_one(&mut *db)
    .await?;
    write_record(app, db, org, run, &row).await
}

/// The texts that may stand in `model`, each once.
fn models(mut only: Vec<String>) -> Result<Vec<String>, Error> {
    only.sort_unstable();
    only.dedup();
    if let Some(text) = only.iter().find(|text| text.parse::<VersionedName>().is_err()) {
        return Err(Error::field("model", format!("`{text}` is neither a name nor `name@version`")));
    }
    if only.is_empty() || only.len() > MODELS_MAX {
        return Err(Error::field("model", format!("a run asks between 1 and {MODELS_MAX} endpoints")));
    }
    Ok(only)
}

/// The key of a run that is open, and keeps it alive. Works in a tenant's transaction and in the system's; takes no lock
/// that another transaction could hold for long.
///
/// A run whose key is closed, or was never opened, is not found.
pub(crate) async fn run_key(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
) -> Result<Secret<String>, Error> {
    for _ in 0..DERIVE_TRIES {
        let row: Option<Row> = sqlx::query_as(
            "SELECT epoch, kid, models, expires_at FROM run_keys
             WHERE org_id = $1 AND run_id = $2 AND closed_at IS NULL",
        )
        .bind(org.uuid())
        .bind(run.uuid())
        .fetch_optional(&mut *db)
        .await?;
        let row = row.ok_or(Code::NotFound)?;
        if let Some(key) = row.derive(app, org, run)? {
            keep_alive(app, db, org, run).await?;
            return Ok(key.text().clone());
        }
        move_to_present_entry(app, db, org, run, &row.kid).await?;
    }
    Err(Error::internal("replicas disagree on the key ring"))
}

/// Moves the end on when half of the life is over. Whoever finds the row locked leaves it to the one who has it.
async fn keep_alive(app: &App, db: &mut PgConnection, org: OrgId, run: RunId) -> Result<(), Error> {
    let renewed: Option<Row> = sqlx::query_as(
        "UPDATE run_keys SET expires_at = now() + $3 * interval '1 millisecond'
         WHERE (org_id, run_id) IN (
            SELECT org_id, run_id FROM run_keys
            WHERE org_id = $1 AND run_id = $2 AND closed_at IS NULL
                AND expires_at < now() + $3 * interval '1 millisecond' / 2
            FOR NO KEY UPDATE SKIP LOCKED)
         RETURNING epoch, kid, models, expires_at",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(LIFE_MS)
    .fetch_optional(&mut *db)
    .await?;
    match renewed {
        Some(row) => write_record(app, db, org, run, &row).await,
        None => Ok(()),
    }
}

/// The ring has lost the entry, and with it every text that it made: the key goes on from the present one. Of several at
/// once, one does it.
async fn move_to_present_entry(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    lost: &str,
) -> Result<(), Error> {
    let moved: Option<Row> = sqlx::query_as(
        "UPDATE run_keys SET epoch = epoch + 1, kid = $4, expires_at = now() + $5 * interval '1 millisecond'
         WHERE org_id = $1 AND run_id = $2 AND kid = $3 AND closed_at IS NULL
         RETURNING epoch, kid, models, expires_at",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(lost)
    .bind(app.settings().key_ring.current().0.as_str())
    .bind(LIFE_MS)
    .fetch_optional(&mut *db)
    .await?;
    match moved {
        Some(row) => write_record(app, db, org, run, &row).await,
        None => Ok(()),
    }
}

/// Ends the key of a run, for good unless it is opened again. Nothing happens to one that is not open.
pub(crate) async fn close_run_key(
    _app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
) -> Result<(), Error> {
    let closed = sqlx::query(
        "UPDATE run_keys SET closed_at = now() WHERE org_id = $1 AND run_id = $2 AND closed_at IS NULL",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .execute(&mut *db)
    .await?;
    if closed.rows_affected() == 1 {
        records::put(db, org, record_key(run), &RecordValue::Gone).await?;
    }
    Ok(())
}

/// Takes keys from the edge that ended by themselves; gives how many.
pub(super) async fn forget_expired(app: &App) -> Result<usize, Error> {
    let expired: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT org_id, run_id FROM run_keys WHERE closed_at IS NULL AND expires_at < now()
         ORDER BY expires_at LIMIT $1",
    )
    .bind(ROUND_MAX)
    .fetch_all(app.system())
    .await?;
    for (org, run) in &expired {
        let org = OrgId::from_uuid(*org);
        let mut tx = app.tenants().begin(org).await?;
        close_run_key(app, &mut tx, org, RunId::from_uuid(*run)).await?;
        tx.commit().await?;
    }
    Ok(expired.len())
}

const fn record_key(run: RunId) -> RecordKey {
    RecordKey::Key(KeyId::from_uuid(run.uuid()))
}

/// Tells the edge. The run's row is locked, so records of one key are written one after the other.
async fn write_record(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    row: &Row,
) -> Result<(), Error> {
    let key = row.derive(app, org, run)?;
    let key = key.ok_or_else(|| Error::internal("a key was written under an entry that the ring lacks"))?;
    let record = KeyRecord {
        org,
        digest: key.digest(),
        call: true,
        expires_at_ms: Some(u64::try_from(row.expires_at.timestamp_millis()).unwrap_or(0)),
        only: Some(row.models.clone()),
    };
    records::put(db, org, record_key(run), &RecordValue::Key(record)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_names_and_versions_each_once() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(models(texts(&["poet@2", "judge", "poet@2"])).unwrap(), texts(&["judge", "poet@2"]));
        for bad in [&[][..], &["poet@0"], &["Poet"], &["a", "*"]] {
            assert!(models(texts(bad)).is_err(), "{bad:?}");
        }
        assert!(models((0..=MODELS_MAX).map(|n| format!("n{n}")).collect()).is_err());
    }
}
