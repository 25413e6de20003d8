//! Entries and links as rows: read in one way by the list, the export, the sequencer and the check.

use super::{
    chain::{Digest, Link},
    entry::{Actor, Entry, From, Subject},
};
use alphagate_contract::id::{AuditId, OrgId};
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

/// The columns of an [`EntryRow`], of a table called `a`.
macro_rules! entry_columns {
    () => {
        "a.org_id, a.id, a.at, a.actor_kind, a.actor_id, a.session, a.role, a.action, a.verb, a.subject_kind,
         a.subject_id, a.address, a.user_agent, a.request, a.before::text AS before, a.after::text AS after"
    };
}
pub(super) use entry_columns;

/// An entry's row.
#[derive(sqlx::FromRow)]
pub(super) struct EntryRow {
    org_id: Uuid,
    id: Uuid,
    at: DateTime<Utc>,
    actor_kind: String,
    actor_id: Option<String>,
    session: Option<String>,
    role: Option<String>,
    action: String,
    verb: String,
    subject_kind: String,
    subject_id: String,
    address: Option<String>,
    user_agent: Option<String>,
    request: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

/// A link's row.
#[derive(sqlx::FromRow)]
struct LinkRow {
    number: i64,
    entry_id: Uuid,
    digest: Vec<u8>,
    previous: Vec<u8>,
    head: Vec<u8>,
    kid: String,
    signature: Vec<u8>,
}

fn decoded(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

impl TryFrom<EntryRow> for Entry {
    type Error = sqlx::Error;

    fn try_from(row: EntryRow) -> Result<Self, sqlx::Error> {
        let json = |text: Option<String>| text.map(RawValue::from_string).transpose().map_err(decoded);
        Ok(Self {
            id: AuditId::from_uuid(row.id),
            number: None,
            org: OrgId::from_uuid(row.org_id),
            at: row.at,
            actor: Actor { kind: row.actor_kind, id: row.actor_id, session: row.session, role: row.role },
            action: row.action,
            verb: row.verb,
            subject: Subject { kind: row.subject_kind, id: row.subject_id },
            origin: From { address: row.address, user_agent: row.user_agent, request: row.request },
            before: json(row.before)?,
            after: json(row.after)?,
        })
    }
}

/// A digest as the database has it; its length is a constraint there.
pub(super) fn digest(bytes: Vec<u8>) -> Result<Digest, sqlx::Error> {
    Digest::try_from(bytes)
        .map_err(|bytes| sqlx::Error::Decode(format!("{} bytes, not 32", bytes.len()).into()))
}

impl TryFrom<LinkRow> for Link {
    type Error = sqlx::Error;

    fn try_from(row: LinkRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: row.number,
            entry: AuditId::from_uuid(row.entry_id),
            digest: digest(row.digest)?,
            previous: digest(row.previous)?,
            head: digest(row.head)?,
            kid: row.kid,
            signature: row.signature,
        })
    }
}

/// Those of these entries that are there.
pub(super) async fn entries(
    db: &mut PgConnection,
    org: OrgId,
    ids: &[Uuid],
) -> Result<Vec<Entry>, sqlx::Error> {
    let sql = concat!("SELECT ", entry_columns!(), " FROM audit a WHERE a.org_id = $1 AND a.id = ANY($2)");
    let rows: Vec<EntryRow> = sqlx::query_as(sql).bind(org.uuid()).bind(ids).fetch_all(db).await?;
    rows.into_iter().map(Entry::try_from).collect()
}

/// The next links after `number`, in order, each with its entry if that is there.
pub(super) async fn linked(
    db: &mut PgConnection,
    org: OrgId,
    number: i64,
    most: i64,
) -> Result<Vec<(Link, Option<Entry>)>, sqlx::Error> {
    let rows: Vec<LinkRow> = sqlx::query_as(
        "SELECT number, entry_id, digest, previous, head, kid, signature FROM audit_links
         WHERE org_id = $1 AND number > $2 ORDER BY number LIMIT $3",
    )
    .bind(org.uuid())
    .bind(number)
    .bind(most)
    .fetch_all(&mut *db)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.entry_id).collect();
    let mut found: std::collections::HashMap<AuditId, Entry> =
        entries(db, org, &ids).await?.into_iter().map(|entry| (entry.id, entry)).collect();
    let with_entry = |row: LinkRow| {
        let link = Link::try_from(row)?;
        let entry = found.remove(&link.entry);
        Ok((link, entry))
    };
    rows.into_iter().map(with_entry).collect()
}
