//! `GET /v1/endpoints` and `GET /v1/endpoints/{id}`: the org's own endpoints.

use super::{Endpoint, Row, select};
use crate::{
    app::App,
    error::{Answer, Error},
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::Admin,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    problem::Code,
};
use axum::{Json, extract::State};
use sqlx::PgConnection;
use uuid::Uuid;

/// The endpoint, if it is the org's own.
pub(crate) async fn find(db: &mut PgConnection, org: OrgId, id: EndpointId) -> Result<Endpoint, Error> {
    let row: Option<Row> =
        sqlx::query_as(select!("FROM endpoints WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL"))
            .bind(org.uuid())
            .bind(id.uuid())
            .fetch_optional(db)
            .await?;
    row.ok_or(Code::NotFound)?.try_into()
}

/// Reads an endpoint.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}",
    params(("id" = EndpointId, Path)),
    responses((status = 200, body = Endpoint)),
)]
pub(crate) async fn get(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<EndpointId>,
) -> Answer<Json<Endpoint>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    Ok(Json(find(&mut tx, admin.org, id).await?))
}

/// Lists the org's own endpoints, newest first.
#[utoipa::path(
    get,
    path = "/v1/endpoints",
    params(PageQuery),
    responses((status = 200, body = Page<Endpoint>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Endpoint>>> {
    let list = List { org: Some(admin.org), name: "endpoints" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    let rows: Vec<Row> = sqlx::query_as(select!(
        "FROM endpoints WHERE org_id = $1 AND deleted_at IS NULL AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
    ))
    .bind(admin.org.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let endpoints = rows.into_iter().map(Endpoint::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), endpoints, |endpoint: &Endpoint| endpoint.id.uuid())?))
}
