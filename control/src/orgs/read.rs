//! `GET /operator/v1/orgs`, `GET /operator/v1/orgs/{id}` and an org's view of itself, `GET /v1/org`.

use super::{Org, Row, find};
use crate::{
    app::App,
    error::Answer,
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::{Admin, Operator},
};
use alphagate_contract::{id::OrgId, problem::Code};
use axum::{Json, extract::State};
use uuid::Uuid;

/// Lists every org, newest first.
#[utoipa::path(
    get,
    path = "/operator/v1/orgs",
    params(PageQuery),
    responses((status = 200, body = Page<Org>)),
)]
pub(crate) async fn list(
    _: Operator,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Org>>> {
    let list = List { org: None, name: "orgs" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, suspended, created_at FROM orgs
         WHERE id < $1
         ORDER BY id DESC LIMIT $2",
    )
    .bind(wanted.before())
    .bind(wanted.rows)
    .fetch_all(app.system())
    .await?;
    let orgs = rows.into_iter().map(Org::from).collect();
    Ok(Json(list.answer(&app, wanted.size(), orgs, |org: &Org| org.id.uuid())?))
}

/// Reads an org.
#[utoipa::path(
    get,
    path = "/operator/v1/orgs/{id}",
    params(("id" = OrgId, Path)),
    responses((status = 200, body = Org)),
)]
pub(crate) async fn get(_: Operator, State(app): State<App>, Id(org): Id<OrgId>) -> Answer<Json<Org>> {
    let mut system = app.system().acquire().await?;
    Ok(Json(find(&mut system, org).await?.ok_or(Code::NotFound)?))
}

/// Reads the org that the key belongs to.
#[utoipa::path(
    get,
    path = "/v1/org",
    responses((status = 200, body = Org), (status = 404, description = "not_found")),
)]
pub(crate) async fn own(admin: Admin, State(app): State<App>) -> Answer<Json<Org>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    Ok(Json(find(&mut tx, admin.org).await?.ok_or(Code::NotFound)?))
}
