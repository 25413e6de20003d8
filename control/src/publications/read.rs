//! `GET /v1/endpoints/{id}/publications` and `GET /v1/endpoints/{id}/publications/{publication}`.

use super::{Publication, Row};
use crate::{
    app::App,
    endpoints,
    error::Answer,
    pagination::{List, Page, PageQuery},
    params::{Id, Ids, Query},
    principal::Admin,
};
use alphagate_contract::{
    id::{EndpointId, PublicationId},
    problem::Code,
};
use axum::{Json, extract::State};
use uuid::Uuid;

pub(crate) async fn get(
    admin: Admin,
    State(app): State<App>,
    Ids(endpoint, id): Ids<EndpointId, PublicationId>,
) -> Answer<Json<Publication>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, endpoint_id, version, replaced, created_at FROM publications
         WHERE org_id = $1 AND endpoint_id = $2 AND id = $3",
    )
    .bind(admin.org.uuid())
    .bind(endpoint.uuid())
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    Ok(Json(row.ok_or(Code::NotFound)?.try_into()?))
}

pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Id(endpoint): Id<EndpointId>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Publication>>> {
    let name = format!("publications of {endpoint}");
    let list = List { org: Some(admin.org), name: &name };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    endpoints::must_exist(&mut tx, admin.org, endpoint).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, endpoint_id, version, replaced, created_at FROM publications
         WHERE org_id = $1 AND endpoint_id = $2 AND ($3::uuid IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4",
    )
    .bind(admin.org.uuid())
    .bind(endpoint.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let publications = rows.into_iter().map(Publication::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), publications, |found: &Publication| found.id.uuid())?))
}
