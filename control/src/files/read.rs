//! `GET /v1/files`, `GET /v1/files/{id}` and `GET /v1/files/{id}/content`.

use super::{File, Row, store};
use crate::{
    app::App,
    error::{Answer, Error},
    openai_page::{Asked, Order, Page},
    params::{Id, Query},
    principal::Evaluator,
};
use alphagate_contract::{
    id::{FileId, OrgId},
    problem::Code,
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde::Deserialize;

/// Most files of a page, and as many as there are if the caller does not say: OpenAI's.
const LIST_MAX: i64 = 10_000;

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FilesQuery {
    after: Option<String>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    #[param(inline)]
    order: Option<Order>,
    purpose: Option<String>,
}

/// Reads what is known of a file.
#[utoipa::path(
    get,
    path = "/v1/files/{id}",
    params(("id" = FileId, Path)),
    responses((status = 200, body = File)),
)]
pub(crate) async fn get(caller: Evaluator, State(app): State<App>, Id(id): Id<FileId>) -> Answer<Json<File>> {
    Ok(Json(find(&app, caller.org, id).await?.into()))
}

/// Lists files.
#[utoipa::path(
    get,
    path = "/v1/files",
    params(FilesQuery),
    responses((status = 200, body = Page<File>)),
)]
pub(crate) async fn list(
    caller: Evaluator,
    State(app): State<App>,
    Query(query): Query<FilesQuery>,
) -> Answer<Json<Page<File>>> {
    let (after, limit) = (query.after.as_deref(), query.limit.as_deref());
    let asked: Asked<FileId> = Asked::up_to(after, limit, LIST_MAX, LIST_MAX)?;
    let mut tx = app.tenants().begin(caller.org).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, bytes, created_at, filename, purpose, expires_at FROM files
         WHERE org_id = $1 AND digest IS NOT NULL AND run_id IS NULL AND coalesce(expires_at > now(), true)
            AND ($2::text IS NULL OR purpose = $2)
            AND ($3::uuid IS NULL OR CASE WHEN $4 THEN id > $3 ELSE id < $3 END)
         ORDER BY CASE WHEN $4 THEN id END, id DESC LIMIT $5",
    )
    .bind(caller.org.uuid())
    .bind(query.purpose)
    .bind(asked.after.map(FileId::uuid))
    .bind(query.order == Some(Order::Asc))
    .bind(asked.rows())
    .fetch_all(&mut *tx)
    .await?;
    Ok(Json(asked.page(rows.into_iter().map(File::from).collect(), |file| file.id)))
}

async fn find(app: &App, org: OrgId, id: FileId) -> Result<Row, Error> {
    let mut tx = app.tenants().begin(org).await?;
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, bytes, created_at, filename, purpose, expires_at FROM files
         WHERE org_id = $1 AND id = $2 AND digest IS NOT NULL AND coalesce(expires_at > now(), true)",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    row.ok_or_else(|| Code::NotFound.into())
}

/// Downloads a file.
#[utoipa::path(
    get,
    path = "/v1/files/{id}/content",
    params(("id" = FileId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream")),
)]
pub(crate) async fn content(caller: Evaluator, State(app): State<App>, Id(id): Id<FileId>) -> Answer {
    let row = find(&app, caller.org, id).await?;
    let body =
        Body::from_stream(stream::unfold(Some(0), move |from| next(app.clone(), caller.org, id, from)));
    let mut response = Response::new(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(row.bytes));
    Ok(response)
}

/// A piece of the content, and where the next starts. An error ends the answer early: its length tells the client.
async fn next(
    app: App,
    org: OrgId,
    id: FileId,
    from: Option<i64>,
) -> Option<(Result<Vec<u8>, sqlx::Error>, Option<i64>)> {
    let from = from?;
    let piece = async {
        let mut tx = app.tenants().begin(org).await?;
        store::piece_from(&mut tx, org, id, from).await
    };
    match piece.await {
        Ok(None) => None,
        Ok(Some(piece)) => Some((Ok(piece.data), Some(piece.first_line + 1))),
        Err(error) => Some((Err(error), None)),
    }
}
