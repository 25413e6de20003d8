//! `GET /v1/installs` and `GET /v1/installs/{id}`: the org's own installs.

use super::{Install, Row, updates};
use crate::{
    app::App,
    error::{Answer, Error},
    pagination::{List, Page},
    params::{Id, Query},
    principal::Admin,
};
use alphagate_contract::{
    id::{InstallId, OrgId},
    problem::Code,
};
use axum::{Json, extract::State};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InstallQuery {
    /// Only pinned ones of which a newer version is live.
    updates: Option<bool>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    cursor: Option<String>,
}

/// The install, with its row locked until the transaction ends.
pub(super) async fn lock(db: &mut PgConnection, org: OrgId, id: InstallId) -> Result<Install, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, name, endpoint_id, publisher_id, pinned, payer, credential_id, created_at
         FROM installs WHERE org_id = $1 AND id = $2 FOR UPDATE",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_optional(db)
    .await?;
    row.ok_or(Code::NotFound)?.try_into()
}

/// Reads an install.
#[utoipa::path(
    get,
    path = "/v1/installs/{id}",
    params(("id" = InstallId, Path)),
    responses((status = 200, body = Install)),
)]
pub(crate) async fn get(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<InstallId>,
) -> Answer<Json<Install>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, name, endpoint_id, publisher_id, pinned, payer, credential_id, created_at
         FROM installs WHERE org_id = $1 AND id = $2",
    )
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    drop(tx);
    let mut install: Install = row.ok_or(Code::NotFound)?.try_into()?;
    updates::add(&app, admin.org, std::slice::from_mut(&mut install)).await?;
    Ok(Json(install))
}

/// Lists installs, newest first.
#[utoipa::path(
    get,
    path = "/v1/installs",
    params(InstallQuery),
    responses((status = 200, body = Page<Install>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<InstallQuery>,
) -> Answer<Json<Page<Install>>> {
    let only_updates = query.updates.unwrap_or_default();
    let name = if only_updates { "installs with updates" } else { "installs" };
    let list = List { org: Some(admin.org), name };
    let wanted = list.wanted::<Uuid>(&app, query.limit.as_deref(), query.cursor.as_deref())?;
    let ids = match only_updates {
        true => Some(updates::ids(&app, admin.org, wanted.after, wanted.rows).await?),
        false => None,
    };
    let mut tx = app.tenants().begin(admin.org).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, endpoint_id, publisher_id, pinned, payer, credential_id, created_at
         FROM installs
         WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2) AND ($4::uuid[] IS NULL OR id = ANY($4))
         ORDER BY id DESC LIMIT $3",
    )
    .bind(admin.org.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .bind(ids)
    .fetch_all(&mut *tx)
    .await?;
    drop(tx);
    let mut installs = rows.into_iter().map(Install::try_from).collect::<Result<Vec<_>, _>>()?;
    updates::add(&app, admin.org, &mut installs).await?;
    Ok(Json(list.answer(&app, wanted.size(), installs, |install: &Install| install.id.uuid())?))
}
