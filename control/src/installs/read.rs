//! `GET /v1/installs` and `GET /v1/installs/{id}`: the org's own installs.

use super::{Install, Row};
use crate::{
    app::App,
    error::{Answer, Error},
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::Admin,
};
use alphagate_contract::{
    id::{InstallId, OrgId},
    problem::Code,
};
use axum::{Json, extract::State};
use sqlx::PgConnection;
use uuid::Uuid;

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
    Ok(Json(row.ok_or(Code::NotFound)?.try_into()?))
}

/// Lists installs, newest first.
#[utoipa::path(
    get,
    path = "/v1/installs",
    params(PageQuery),
    responses((status = 200, body = Page<Install>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Install>>> {
    let list = List { org: Some(admin.org), name: "installs" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, endpoint_id, publisher_id, pinned, payer, credential_id, created_at
         FROM installs WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3",
    )
    .bind(admin.org.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let installs = rows.into_iter().map(Install::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), installs, |install: &Install| install.id.uuid())?))
}
