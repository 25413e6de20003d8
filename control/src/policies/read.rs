//! `GET /v1/policies`, `GET /v1/policies/{id}`, and the same of its revisions.

use super::{Entry, Revision, RevisionRow, Row};
use crate::{
    app::App,
    error::{Answer, Error},
    pagination::{List, Page, PageQuery},
    params::{Id, Ids, Query},
    principal::Admin,
    versions::VersionNumber,
};
use alphagate_contract::{
    id::{OrgId, PolicyId},
    problem::Code,
};
use axum::{Json, extract::State};
use sqlx::PgConnection;
use uuid::Uuid;

/// The policy with what its newest revision says, if the org has it.
pub(super) async fn find(db: &mut PgConnection, org: OrgId, id: PolicyId) -> Result<Entry, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT p.id, p.name, p.description, p.newest, p.created_at, p.changed_at, r.document::text AS document
         FROM policies p
         JOIN policy_revisions r ON r.org_id = p.org_id AND r.policy_id = p.id AND r.number = p.newest
         WHERE p.org_id = $1 AND p.id = $2",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_optional(db)
    .await?;
    row.ok_or(Code::NotFound)?.try_into()
}

/// The number of the policy's newest revision; the policy is locked until the transaction ends.
pub(super) async fn lock(db: &mut PgConnection, org: OrgId, id: PolicyId) -> Result<i32, Error> {
    let newest: Option<(i32,)> =
        sqlx::query_as("SELECT newest FROM policies WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE")
            .bind(org.uuid())
            .bind(id.uuid())
            .fetch_optional(db)
            .await?;
    let (newest,) = newest.ok_or(Code::NotFound)?;
    Ok(newest)
}

/// Reads a policy, with what its newest revision says.
#[utoipa::path(
    get,
    path = "/v1/policies/{id}",
    params(("id" = PolicyId, Path)),
    responses((status = 200, body = Entry)),
)]
pub(crate) async fn get(admin: Admin, State(app): State<App>, Id(id): Id<PolicyId>) -> Answer<Json<Entry>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    Ok(Json(find(&mut tx, admin.org, id).await?))
}

/// Lists policies without what they say, newest first.
#[utoipa::path(
    get,
    path = "/v1/policies",
    params(PageQuery),
    responses((status = 200, body = Page<Entry>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Entry>>> {
    let list = List { org: Some(admin.org), name: "policies" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, description, newest, created_at, changed_at, NULL AS document FROM policies
         WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3",
    )
    .bind(admin.org.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let entries = rows.into_iter().map(Entry::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), entries, |entry: &Entry| entry.id.uuid())?))
}

/// Lists the revisions of a policy with what they say, newest first.
#[utoipa::path(
    get,
    path = "/v1/policies/{id}/revisions",
    params(("id" = PolicyId, Path), PageQuery),
    responses((status = 200, body = Page<Revision>)),
)]
pub(crate) async fn list_revisions(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<PolicyId>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Revision>>> {
    let name = format!("revisions of {id}");
    let list = List { org: Some(admin.org), name: &name };
    let wanted = list.page::<i32>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    find(&mut tx, admin.org, id).await?;
    let rows: Vec<RevisionRow> = sqlx::query_as(
        "SELECT number, preset, created_at, document::text AS document FROM policy_revisions
         WHERE org_id = $1 AND policy_id = $2 AND ($3::integer IS NULL OR number < $3)
         ORDER BY number DESC LIMIT $4",
    )
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let revisions = rows.into_iter().map(Revision::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), revisions, |revision: &Revision| revision.revision)?))
}

/// Reads one revision of a policy.
#[utoipa::path(
    get,
    path = "/v1/policies/{id}/revisions/{number}",
    params(("id" = PolicyId, Path), ("number" = u32, Path)),
    responses((status = 200, body = Revision)),
)]
pub(crate) async fn get_revision(
    admin: Admin,
    State(app): State<App>,
    Ids(id, number): Ids<PolicyId, VersionNumber>,
) -> Answer<Json<Revision>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    let row: Option<RevisionRow> = sqlx::query_as(
        "SELECT number, preset, created_at, document::text AS document FROM policy_revisions
         WHERE org_id = $1 AND policy_id = $2 AND number = $3",
    )
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .bind(number.column())
    .fetch_optional(&mut *tx)
    .await?;
    Ok(Json(row.ok_or(Code::NotFound)?.try_into()?))
}
