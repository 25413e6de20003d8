//! The orgs' data keys in the database: always wrapped, read and written in the org's own transaction.

use super::{envelope::DataKey, master::Wrapped};
use crate::{app::App, error::Error};
use alphagate_contract::id::OrgId;
use sqlx::PgConnection;

/// The org's newest data key; its first one is made here. It is there until the transaction ends, so that what is encrypted
/// with it can refer to it.
pub(crate) async fn current(app: &App, db: &mut PgConnection, org: OrgId) -> Result<DataKey, Error> {
    if let Some(key) = newest(app, db, org).await? {
        return Ok(key);
    }
    match add(app, db, org, 1).await? {
        Some(key) => Ok(key),
        // Somebody else has made it meanwhile.
        None => newest(app, db, org).await?.ok_or_else(|| Error::internal("an org has no data key")),
    }
}

/// The org's data key of this number.
pub(crate) async fn of_number(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    number: i32,
) -> Result<DataKey, Error> {
    let (name, wrapped): (String, Vec<u8>) =
        sqlx::query_as("SELECT master_key, wrapped FROM data_keys WHERE org_id = $1 AND number = $2")
            .bind(org.uuid())
            .bind(number)
            .fetch_one(db)
            .await?;
    open(app, org, number, &name, &wrapped).await
}

async fn newest(app: &App, db: &mut PgConnection, org: OrgId) -> Result<Option<DataKey>, Error> {
    let found: Option<(i32, String, Vec<u8>)> = sqlx::query_as(
        "SELECT number, master_key, wrapped FROM data_keys WHERE org_id = $1
         ORDER BY number DESC LIMIT 1 FOR KEY SHARE",
    )
    .bind(org.uuid())
    .fetch_optional(db)
    .await?;
    match found {
        Some((number, name, wrapped)) => open(app, org, number, &name, &wrapped).await.map(Some),
        None => Ok(None),
    }
}

/// The number of the org's newest data key.
pub(super) async fn newest_number(db: &mut PgConnection, org: OrgId) -> Result<Option<i32>, sqlx::Error> {
    let (number,): (Option<i32>,) = sqlx::query_as("SELECT max(number) FROM data_keys WHERE org_id = $1")
        .bind(org.uuid())
        .fetch_one(db)
        .await?;
    Ok(number)
}

/// Makes the data key of this number; none if there is one.
pub(super) async fn add(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    number: i32,
) -> Result<Option<DataKey>, Error> {
    let key = DataKey::random(app.platform(), org, number);
    let masters = &app.vault().masters;
    let wrapped = masters.wrap(app.platform(), Wrapped { org, number }, key.clear()).await?;
    let made = sqlx::query(
        "INSERT INTO data_keys (org_id, number, master_key, wrapped) VALUES ($1, $2, $3, $4)
         ON CONFLICT (org_id, number) DO NOTHING",
    )
    .bind(org.uuid())
    .bind(number)
    .bind(masters.current())
    .bind(wrapped)
    .execute(db)
    .await?;
    Ok((made.rows_affected() == 1).then_some(key))
}

/// Wraps the data key with the current master key; gives the name of the one before, or none if it was the same.
pub(super) async fn rewrap(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    number: i32,
) -> Result<Option<String>, Error> {
    let masters = &app.vault().masters;
    let found: Option<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT master_key, wrapped FROM data_keys WHERE org_id = $1 AND number = $2 FOR NO KEY UPDATE",
    )
    .bind(org.uuid())
    .bind(number)
    .fetch_optional(&mut *db)
    .await?;
    let Some((name, wrapped)) = found.filter(|(name, _)| name != masters.current()) else {
        return Ok(None);
    };
    let place = Wrapped { org, number };
    let key = masters.unwrap(&name, place, &wrapped).await?;
    let wrapped = masters.wrap(app.platform(), place, &key).await?;
    sqlx::query("UPDATE data_keys SET master_key = $3, wrapped = $4 WHERE org_id = $1 AND number = $2")
        .bind(org.uuid())
        .bind(number)
        .bind(masters.current())
        .bind(wrapped)
        .execute(db)
        .await?;
    Ok(Some(name))
}

/// Destroys the org's data keys below this number: nothing may be under them. Gives their numbers.
pub(super) async fn destroy_below(
    db: &mut PgConnection,
    org: OrgId,
    number: i32,
) -> Result<Vec<i32>, sqlx::Error> {
    let gone: Vec<(i32,)> =
        sqlx::query_as("DELETE FROM data_keys WHERE org_id = $1 AND number < $2 RETURNING number")
            .bind(org.uuid())
            .bind(number)
            .fetch_all(db)
            .await?;
    Ok(gone.into_iter().map(|(number,)| number).collect())
}

async fn open(app: &App, org: OrgId, number: i32, name: &str, wrapped: &[u8]) -> Result<DataKey, Error> {
    let place = Wrapped { org, number };
    let key = app.vault().masters.unwrap(name, place, wrapped).await?;
    Ok(DataKey::new(org, number, key))
}
