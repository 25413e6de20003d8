//! `GET /v1/credentials` and `GET /v1/credentials/{id}`.

use super::{Credential, Row, columns};
use crate::{
    app::App,
    error::{Answer, Error},
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::Admin,
};
use alphagate_contract::{
    id::{CredentialId, OrgId},
    problem::Code,
};
use axum::{Json, extract::State};
use sqlx::PgConnection;
use uuid::Uuid;

/// The credential, if the org has it.
pub(super) async fn find(db: &mut PgConnection, org: OrgId, id: CredentialId) -> Result<Credential, Error> {
    let row: Option<Row> =
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM credentials WHERE org_id = $1 AND id = $2"))
            .bind(org.uuid())
            .bind(id.uuid())
            .fetch_optional(db)
            .await?;
    Ok(row.ok_or(Code::NotFound)?.into())
}

/// Reads a credential: everything but the secret.
#[utoipa::path(
    get,
    path = "/v1/credentials/{id}",
    params(("id" = CredentialId, Path)),
    responses((status = 200, body = Credential)),
)]
pub(crate) async fn get(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<CredentialId>,
) -> Answer<Json<Credential>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    Ok(Json(find(&mut tx, admin.org, id).await?))
}

/// Lists credentials, newest first.
#[utoipa::path(
    get,
    path = "/v1/credentials",
    params(PageQuery),
    responses((status = 200, body = Page<Credential>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Credential>>> {
    let list = List { org: Some(admin.org), name: "credentials" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM credentials WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
    ))
    .bind(admin.org.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let credentials = rows.into_iter().map(Credential::from).collect();
    Ok(Json(list.answer(&app, wanted.size(), credentials, |found: &Credential| found.id.uuid())?))
}
