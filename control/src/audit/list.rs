//! `GET /v1/audit`: the org's trail, newest first.
//!
//! Times are those in the entries' ids: a filter on time is a range of ids.

use super::{
    entry::Entry,
    store::{EntryRow, entry_columns},
};
use crate::{
    app::App,
    error::Answer,
    pagination::{List, Page},
    params::Query,
    principal::Member,
};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// The id of a key or a user.
    actor: Option<String>,
    /// The name of an action.
    action: Option<String>,
    /// The id of what was changed.
    subject: Option<String>,
    /// From then on.
    since: Option<DateTime<Utc>>,
    /// Before that.
    until: Option<DateTime<Utc>>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    entry: EntryRow,
    number: Option<i64>,
}

impl AuditQuery {
    /// Names the list, filters included: a cursor of one is none of another.
    fn name(&self) -> String {
        let Self { actor, action, subject, since, until, .. } = self;
        format!("audit\n{actor:?}\n{action:?}\n{subject:?}\n{since:?}\n{until:?}")
    }
}

/// Lists the org's audit trail, newest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    params(AuditQuery),
    responses((status = 200, body = Page<Entry>)),
)]
pub(crate) async fn list(
    member: Member,
    State(app): State<App>,
    Query(query): Query<AuditQuery>,
) -> Answer<Json<Page<Entry>>> {
    let name = query.name();
    let list = List { org: Some(member.org), name: &name };
    let wanted = list.wanted::<Uuid>(&app, query.limit.as_deref(), query.cursor.as_deref())?;
    let mut tx = app.tenants().begin(member.org).await?;
    let rows = select(&mut tx, member.org.uuid(), &query, wanted.after, wanted.rows).await?;
    let entry = |row: Row| Ok(Entry { number: row.number, ..Entry::try_from(row.entry)? });
    let entries = rows.into_iter().map(entry).collect::<Result<_, sqlx::Error>>()?;
    Ok(Json(list.answer(&app, wanted.size(), entries, |entry: &Entry| entry.id.uuid())?))
}

async fn select(
    db: &mut PgConnection,
    org: Uuid,
    query: &AuditQuery,
    after: Option<Uuid>,
    rows: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        entry_columns!(),
        ", l.number FROM audit a LEFT JOIN audit_links l ON l.org_id = a.org_id AND l.entry_id = a.id
         WHERE a.org_id = $1
            AND ($2::uuid IS NULL OR a.id < $2)
            AND ($3::timestamptz IS NULL OR a.id >= uuid_floor($3))
            AND ($4::timestamptz IS NULL OR a.id < uuid_floor($4))
            AND ($5::text IS NULL OR a.actor_id = $5)
            AND ($6::text IS NULL OR a.action = $6)
            AND ($7::text IS NULL OR a.subject_id = $7)
         ORDER BY a.id DESC LIMIT $8"
    ))
    .bind(org)
    .bind(after)
    .bind(query.since)
    .bind(query.until)
    .bind(query.actor.as_deref())
    .bind(query.action.as_deref())
    .bind(query.subject.as_deref())
    .bind(rows)
    .fetch_all(db)
    .await
}
