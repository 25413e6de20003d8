//! Records: what the edge knows of an org, in its newest revision, and how it gets there.
//!
//! A record's row is locked first and gets its revision then, so revisions of one record grow in the order of commits;
//! its content is read after the lock, so the last one to commit has seen everything. Records that are gone stay as
//! [`RecordValue::Gone`]: nothing older comes back. A record and its row in the outbox are one statement.

use super::CHANNEL;
use crate::{
    app::App,
    error::{Answer, Error},
    params::Id,
    principal::Edge,
};
use alphagate_contract::{
    id::OrgId,
    problem::Code,
    record::{RecordKey, RecordValue},
};
use axum::{Json, extract::State, response::IntoResponse as _};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(read))]
pub(crate) struct Docs;

/// A record whose row is locked; it has a revision, and waits for its content.
#[must_use = "a revision without content would show the edge an older content as new"]
pub(crate) struct Slot {
    org: OrgId,
    key: RecordKey,
    revision: i64,
}

/// Locks the record and gives it its next revision.
pub(crate) async fn lock(db: &mut PgConnection, org: OrgId, key: RecordKey) -> Result<Slot, Error> {
    let (revision,): (i64,) = sqlx::query_as(
        r#"INSERT INTO records (org_id, key, revision, value)
           VALUES ($1, $2, nextval('record_revision'), '{"kind":"gone"}')
           ON CONFLICT (org_id, key) DO UPDATE SET revision = nextval('record_revision')
           RETURNING revision"#,
    )
    .bind(org.uuid())
    .bind(key.to_string())
    .fetch_one(db)
    .await?;
    Ok(Slot { org, key, revision })
}

/// Writes a record that needs nothing from under its lock, and puts it into the outbox.
pub(crate) async fn put(
    db: &mut PgConnection,
    org: OrgId,
    key: RecordKey,
    value: &RecordValue,
) -> Result<(), Error> {
    sqlx::query(
        "WITH written AS (
            INSERT INTO records (org_id, key, revision, value)
            VALUES ($1, $2, nextval('record_revision'), $3::text::json)
            ON CONFLICT (org_id, key) DO UPDATE
                SET revision = nextval('record_revision'), value = excluded.value
            RETURNING revision
         ), told AS (
            INSERT INTO outbox (org_id, record_key, revision, payload)
            SELECT $1, $2, revision, $3::text::json FROM written
         )
         SELECT pg_notify($4, $5)",
    )
    .bind(org.uuid())
    .bind(key.to_string())
    .bind(serde_json::to_string(value).map_err(Error::internal)?)
    .bind(CHANNEL)
    .bind(org.to_string())
    .execute(db)
    .await?;
    Ok(())
}

impl Slot {
    /// The revision, for what is bound to it.
    pub(crate) fn revision(&self) -> Result<u64, Error> {
        u64::try_from(self.revision).map_err(Error::internal)
    }

    /// Writes the content, and puts it into the outbox.
    pub(crate) async fn put(self, db: &mut PgConnection, value: &RecordValue) -> Result<(), Error> {
        sqlx::query(
            "WITH written AS (UPDATE records SET value = $3::text::json WHERE org_id = $1 AND key = $2),
             told AS (
                INSERT INTO outbox (org_id, record_key, revision, payload)
                VALUES ($1, $2, $6, $3::text::json)
             )
             SELECT pg_notify($4, $5)",
        )
        .bind(self.org.uuid())
        .bind(self.key.to_string())
        .bind(serde_json::to_string(value).map_err(Error::internal)?)
        .bind(CHANNEL)
        .bind(self.org.to_string())
        .bind(self.revision)
        .execute(db)
        .await?;
        Ok(())
    }
}

/// [`alphagate_contract::record::Record`], with its content to the letter.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Record)]
struct RecordBody {
    #[schema(value_type = String)]
    key: RecordKey,
    revision: i64,
    #[schema(value_type = Object)]
    value: Box<RawValue>,
}

/// `GET /internal/v1/records/{record key}`: what the edge asks for when it has no copy.
#[utoipa::path(
    get,
    path = "/internal/v1/records/{key}",
    params(("key" = String, Path)),
    responses((status = 200, body = RecordBody)),
)]
pub(crate) async fn read(State(app): State<App>, key: Result<Id<RecordKey>, Error>, _: Edge) -> Answer {
    let Id(key) = key?;
    let found: Option<(i64, String)> =
        sqlx::query_as("SELECT revision, value::text FROM records WHERE key = $1")
            .bind(key.to_string())
            .fetch_optional(app.system())
            .await?;
    let (revision, value) = found.ok_or(Code::NotFound)?;
    let value = RawValue::from_string(value).map_err(Error::internal)?;
    Ok(Json(RecordBody { key, revision, value }).into_response())
}
