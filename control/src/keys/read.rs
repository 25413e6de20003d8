//! `GET /v1/keys` and `GET /v1/keys/{id}`: never the text, always when it was last used.

use super::{Key, Row};
use crate::{
    app::App,
    error::{Answer, Error},
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::Admin,
};
use alphagate_contract::{
    id::{KeyId, OrgId},
    problem::Code,
};
use axum::{Json, extract::State};
use sqlx::PgConnection;
use uuid::Uuid;

/// The key, if the org has it.
pub(super) async fn find(db: &mut PgConnection, org: OrgId, id: KeyId) -> Result<Key, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, name, mode, scopes, endpoints, created_at, expires_at, revoked_at, last_used_at, replaced_by
         FROM keys WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_optional(db)
    .await?;
    row.ok_or(Code::NotFound)?.try_into()
}

/// Reads a key: never its text.
#[utoipa::path(
    get,
    path = "/v1/keys/{id}",
    params(("id" = KeyId, Path)),
    responses((status = 200, body = Key)),
)]
pub(crate) async fn get(admin: Admin, State(app): State<App>, Id(id): Id<KeyId>) -> Answer<Json<Key>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    Ok(Json(find(&mut tx, admin.org, id).await?))
}

/// Lists keys, newest first.
#[utoipa::path(
    get,
    path = "/v1/keys",
    params(PageQuery),
    responses((status = 200, body = Page<Key>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Key>>> {
    let list = List { org: Some(admin.org), name: "keys" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, mode, scopes, endpoints, created_at, expires_at, revoked_at, last_used_at, replaced_by
         FROM keys WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3",
    )
    .bind(admin.org.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let keys = rows.into_iter().map(Key::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), keys, |key: &Key| key.id.uuid())?))
}
