//! API keys: made, listed, rotated, revoked, and recognised.
//!
//! The database keeps a digest; the text is shown once, in the answer that makes the key. A revoked key never works
//! again: its record is gone, and its row says since when.

mod create;
mod expire;
mod read;
mod revoke;
mod rotate;
mod run_key;

pub(crate) use create::create;
pub(crate) use expire::forget_expired;
pub(crate) use read::{get, list};
pub(crate) use revoke::revoke;
pub(crate) use rotate::rotate;
pub(crate) use run_key::{close_run_key, open_run_key, run_key};

use crate::{
    app::App,
    body::{from_word, word},
    error::Error,
    outbox::records,
    text::Label,
    vault::Under,
};
use alphagate_contract::{
    id::{KeyId, OrgId},
    key::{ApiKey, Digest, Mode},
    name::EndpointName,
    record::{KeyRecord, RecordKey, RecordValue},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// Most endpoints that a key is bound to; the table has the same bound.
const ENDPOINTS_MAX: usize = 100;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(create::create, read::list, read::get, revoke::revoke, rotate::rotate))]
pub(crate) struct Docs;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = KeyScope)]
pub enum Scope {
    /// Call endpoints at the edge.
    Call,
    /// Everything under `/v1` here, but what has a scope of its own.
    Admin,
    /// Jobs, evals, files and graders; an admin's key has it, too.
    Evals,
    /// Say what an endpoint's gate demands.
    Gate,
    /// Move a live pointer past the gate.
    Force,
}

/// What a new key is to be.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    pub(crate) name: Label,
    pub(crate) scopes: Vec<Scope>,
    #[serde(default = "live")]
    pub(crate) mode: Mode,
    #[serde(default)]
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// The only endpoints that it may call, by the names that the org has for them; none: all.
    #[serde(default)]
    pub(crate) endpoints: Option<Vec<EndpointName>>,
}

const fn live() -> Mode {
    Mode::Live
}

/// A key as admins read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Key {
    id: KeyId,
    name: String,
    mode: Mode,
    scopes: Vec<Scope>,
    created_at: DateTime<Utc>,
    /// The only endpoints that it may call.
    endpoints: Option<Vec<String>>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    replaced_by: Option<KeyId>,
}

impl Key {
    fn scopes(&self) -> &[Scope] {
        &self.scopes
    }
}

/// A key in the answer that makes it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MintedKey)]
pub(crate) struct Minted {
    #[serde(flatten)]
    key: Key,
    secret: String,
}

impl Minted {
    pub(crate) const fn id(&self) -> KeyId {
        self.key.id
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    mode: String,
    scopes: Vec<String>,
    endpoints: Option<Vec<String>>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    replaced_by: Option<Uuid>,
}

impl TryFrom<Row> for Key {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: KeyId::from_uuid(row.id),
            name: row.name,
            mode: from_word(&row.mode)?,
            scopes: row.scopes.iter().map(|scope| from_word(scope)).collect::<Result<_, _>>()?,
            endpoints: row.endpoints,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            replaced_by: row.replaced_by.map(KeyId::from_uuid),
        })
    }
}

/// Makes a key of `org`, and its record.
pub(crate) async fn mint(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    new: &NewKey,
) -> Result<Minted, Error> {
    let scopes: HashSet<Scope> = new.scopes.iter().copied().collect();
    if scopes.is_empty() || scopes.len() != new.scopes.len() {
        return Err(Error::field(
            "scopes",
            "must name `call`, `admin`, `evals`, `gate` or `force`, each once",
        ));
    }
    let endpoints = new.endpoints.as_deref().map(|names| bound(names, &new.scopes)).transpose()?;
    let id = app.new_id(KeyId::new);
    let key = ApiKey::mint(&app.settings().key_ring, new.mode, org, id, app.platform().bytes());
    let row: Row = sqlx::query_as(
        "INSERT INTO keys (org_id, id, name, mode, scopes, digest, expires_at, endpoints, signed_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         RETURNING id, name, mode, scopes, endpoints, created_at, expires_at, revoked_at, last_used_at, replaced_by",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(new.name.as_str())
    .bind(word(new.mode))
    .bind(new.scopes.iter().map(word).collect::<Vec<_>>())
    .bind(key.digest().bytes())
    .bind(new.expires_at)
    .bind(endpoints)
    .bind(key.kid.as_str())
    .fetch_one(&mut *db)
    .await?;
    write_record(db, org, id).await?;
    Ok(Minted { key: row.try_into()?, secret: key.text().reveal().clone() })
}

/// The names that a key is bound to: it calls them, and can do nothing else.
fn bound<'a>(names: &'a [EndpointName], scopes: &[Scope]) -> Result<Vec<&'a str>, Error> {
    if scopes != [Scope::Call] {
        return Err(Error::field("endpoints", "a key that is bound to endpoints has the scope `call` alone"));
    }
    let unique: BTreeSet<&str> = names.iter().map(EndpointName::as_str).collect();
    if unique.len() != names.len() || !(1..=ENDPOINTS_MAX).contains(&names.len()) {
        return Err(Error::field(
            "endpoints",
            format!("must name 1 to {ENDPOINTS_MAX} endpoints, each once"),
        ));
    }
    Ok(unique.into_iter().collect())
}

/// Writes the key's record anew, from what is true under its lock.
async fn write_record(db: &mut PgConnection, org: OrgId, id: KeyId) -> Result<(), Error> {
    let slot = records::lock(db, org, RecordKey::Key(id)).await?;
    type Found = (bool, Vec<u8>, bool, Option<DateTime<Utc>>, Option<Vec<String>>);
    let (gone, digest, call, expires_at, only): Found = sqlx::query_as(
        "SELECT gone, digest, 'call' = ANY(scopes), expires_at, endpoints FROM keys WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_one(&mut *db)
    .await?;
    if gone {
        return slot.put(db, &RecordValue::Gone).await;
    }
    let expires_at_ms = expires_at.map(|at| u64::try_from(at.timestamp_millis()).unwrap_or(0));
    let record = KeyRecord { org, digest: read_digest(digest)?, call, expires_at_ms, only };
    slot.put(db, &RecordValue::Key(record)).await
}

fn read_digest(bytes: Vec<u8>) -> Result<Digest, Error> {
    let bytes = bytes.try_into().map_err(|_| Error::internal("a digest has 32 bytes"))?;
    Ok(Digest::from_bytes(bytes))
}

/// The scopes of a key, if it is what it says, and neither revoked nor expired by the database's clock.
pub(crate) async fn authenticate(
    system: &mut PgConnection,
    key: &ApiKey,
) -> Result<Option<Vec<Scope>>, Error> {
    let found: Option<(Vec<u8>, Vec<String>)> = sqlx::query_as(
        "SELECT digest, scopes FROM keys
         WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL AND coalesce(expires_at > now(), true)",
    )
    .bind(key.org.uuid())
    .bind(key.id.uuid())
    .fetch_optional(system)
    .await?;
    let Some((digest, scopes)) = found else { return Ok(None) };
    if read_digest(digest)? != key.digest() {
        return Ok(None);
    }
    scopes.iter().map(|scope| from_word(scope)).collect::<Result<_, _>>().map(Some)
}

/// The scopes of a key whose secret the edge has checked, if it is neither revoked nor expired.
pub(crate) async fn scopes_of(
    system: &mut PgConnection,
    org: OrgId,
    id: KeyId,
) -> Result<Option<Vec<Scope>>, Error> {
    let found: Option<(Vec<String>,)> = sqlx::query_as(
        "SELECT scopes FROM keys
         WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL AND coalesce(expires_at > now(), true)",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_optional(system)
    .await?;
    found.map(|(scopes,)| scopes.iter().map(|scope| from_word(scope)).collect()).transpose()
}

/// Which of these keys the org does not have.
pub(crate) async fn unknown(
    db: &mut PgConnection,
    org: OrgId,
    ids: &[KeyId],
) -> Result<HashSet<KeyId>, Error> {
    let known: Vec<(Uuid,)> = sqlx::query_as("SELECT id FROM keys WHERE org_id = $1 AND id = ANY($2)")
        .bind(org.uuid())
        .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
        .fetch_all(db)
        .await?;
    let known: HashSet<KeyId> = known.into_iter().map(|(id,)| KeyId::from_uuid(id)).collect();
    Ok(ids.iter().copied().filter(|id| !known.contains(id)).collect())
}

/// API keys that work, by the ring entry that signed them: an entry that none is signed by may go.
pub(crate) async fn signed_by(system: &mut PgConnection) -> Result<Vec<Under>, Error> {
    Ok(sqlx::query_as(
        "SELECT signed_by AS key, count(*) AS count FROM keys
         WHERE revoked_at IS NULL AND coalesce(expires_at > now(), true) GROUP BY signed_by ORDER BY signed_by",
    )
    .fetch_all(system)
    .await?)
}

/// Notes when keys were last used, from usage events; never in the future, whatever the edge's clock says.
pub(crate) async fn note_use(
    system: &mut PgConnection,
    org: OrgId,
    uses: &[(KeyId, DateTime<Utc>)],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE keys SET last_used_at = greatest(keys.last_used_at, least(used.at, now()))
         FROM (SELECT id, max(at) AS at FROM unnest($2::uuid[], $3::timestamptz[]) AS use (id, at) GROUP BY id) AS used
         WHERE keys.org_id = $1 AND keys.id = used.id",
    )
    .bind(org.uuid())
    .bind(uses.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>())
    .bind(uses.iter().map(|(_, at)| *at).collect::<Vec<_>>())
    .execute(system)
    .await?;
    Ok(())
}
