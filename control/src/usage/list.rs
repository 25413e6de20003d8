//! `GET /v1/usage`: an org's own calls, or with `as=publisher` everybody's calls of its endpoints, newest first.
//!
//! A publisher sees installs, not the keys of other orgs. Times are those in the events' ids: a filter on time is a range
//! of ids, and reads only the partitions that it touches.

use super::columns;
use crate::{
    app::App,
    body::from_word,
    error::{Answer, Error},
    pagination::{List, Page},
    params::Query,
    principal::Admin,
};
use alphagate_contract::{
    id::{EndpointId, InstallId, KeyId, OrgId, RequestId},
    usage::{Outcome, Payer},
};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// Which side of an install is asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = UsageSide)]
enum Side {
    #[default]
    Consumer,
    Publisher,
}

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageQuery {
    #[serde(default, rename = "as")]
    #[param(inline)]
    side: Side,
    key: Option<KeyId>,
    endpoint: Option<EndpointId>,
    install: Option<InstallId>,
    /// From then on.
    from: Option<DateTime<Utc>>,
    /// Before that.
    to: Option<DateTime<Utc>>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    cursor: Option<String>,
}

/// A usage event as admins read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = UsageEntry)]
pub(crate) struct Event {
    id: RequestId,
    at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
    endpoint: EndpointId,
    publisher: OrgId,
    install: Option<InstallId>,
    payer: Payer,
    version: i32,
    stream: bool,
    outcome: Outcome,
    requests: i64,
    input_tokens: i64,
    output_tokens: i64,
    cost_micros: i64,
    estimated: bool,
    cached_input_tokens: i64,
    reasoning_tokens: i64,
    first_byte_ms: i64,
    total_ms: i64,
    flagged: Vec<String>,
    /// The target that served it, by its place in the version.
    target: i16,
    attempt: i16,
    /// Targets that did not serve, and why.
    passed_over: Vec<String>,
    /// What policies did to it: `pii:email`, `moderation:output:hate`.
    flags: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    org_id: Uuid,
    id: Uuid,
    at: DateTime<Utc>,
    key_id: Uuid,
    endpoint_id: Uuid,
    publisher_id: Uuid,
    install_id: Option<Uuid>,
    payer: String,
    version: i32,
    stream: bool,
    outcome: String,
    requests: i64,
    input_tokens: i64,
    output_tokens: i64,
    cost_micros: i64,
    estimated: bool,
    cached_input_tokens: i64,
    reasoning_tokens: i64,
    first_byte_ms: i64,
    total_ms: i64,
    flagged: Vec<String>,
    target: i16,
    attempt: i16,
    passed_over: Vec<String>,
    flags: Vec<String>,
}

impl Row {
    /// The event as `reader` may see it.
    fn event(self, reader: OrgId) -> Result<Event, Error> {
        Ok(Event {
            id: RequestId::from_uuid(self.id),
            at: self.at,
            key: (self.org_id == reader.uuid()).then_some(KeyId::from_uuid(self.key_id)),
            endpoint: EndpointId::from_uuid(self.endpoint_id),
            publisher: OrgId::from_uuid(self.publisher_id),
            install: self.install_id.map(InstallId::from_uuid),
            payer: from_word(&self.payer)?,
            version: self.version,
            stream: self.stream,
            outcome: from_word(&self.outcome)?,
            requests: self.requests,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            cost_micros: self.cost_micros,
            estimated: self.estimated,
            cached_input_tokens: self.cached_input_tokens,
            reasoning_tokens: self.reasoning_tokens,
            first_byte_ms: self.first_byte_ms,
            total_ms: self.total_ms,
            flagged: self.flagged,
            target: self.target,
            attempt: self.attempt,
            passed_over: self.passed_over,
            flags: self.flags,
        })
    }
}

impl UsageQuery {
    /// Names the list, filters included: a cursor of one is none of another.
    fn name(&self) -> String {
        let Self { side, key, endpoint, install, from, to, .. } = self;
        format!("usage\n{side:?}\n{key:?}\n{endpoint:?}\n{install:?}\n{from:?}\n{to:?}")
    }
}

/// Lists the org's own calls, or with `as=publisher` everybody's calls of its endpoints, newest first.
#[utoipa::path(
    get,
    path = "/v1/usage",
    params(UsageQuery),
    responses((status = 200, body = Page<Event>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<UsageQuery>,
) -> Answer<Json<Page<Event>>> {
    let name = query.name();
    let list = List { org: Some(admin.org), name: &name };
    let wanted = list.wanted::<Uuid>(&app, query.limit.as_deref(), query.cursor.as_deref())?;
    let mut tx = app.tenants().begin(admin.org).await?;
    let rows = select(&mut tx, admin.org, &query, wanted.after, wanted.rows).await?;
    let events = rows.into_iter().map(|row| row.event(admin.org)).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), events, |event: &Event| event.id.uuid())?))
}

macro_rules! select {
    ($owner:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM usage_events WHERE ",
            $owner,
            " = $1
                AND ($2::uuid IS NULL OR id < $2)
                AND ($3::timestamptz IS NULL OR id >= uuid_floor($3))
                AND ($4::timestamptz IS NULL OR id < uuid_floor($4))
                AND ($5::uuid IS NULL OR (key_id = $5 AND org_id = $1))
                AND ($6::uuid IS NULL OR endpoint_id = $6)
                AND ($7::uuid IS NULL OR install_id = $7)
             ORDER BY id DESC LIMIT $8"
        )
    };
}

async fn select(
    db: &mut PgConnection,
    org: OrgId,
    query: &UsageQuery,
    after: Option<Uuid>,
    rows: i64,
) -> Result<Vec<Row>, sqlx::Error> {
    let sql = match query.side {
        Side::Consumer => select!("org_id"),
        Side::Publisher => select!("publisher_id"),
    };
    sqlx::query_as(sql)
        .bind(org.uuid())
        .bind(after)
        .bind(query.from)
        .bind(query.to)
        .bind(query.key.map(KeyId::uuid))
        .bind(query.endpoint.map(EndpointId::uuid))
        .bind(query.install.map(InstallId::uuid))
        .bind(rows)
        .fetch_all(db)
        .await
}
