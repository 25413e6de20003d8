//! `GET /v1/endpoints/{id}/versions` and `GET /v1/endpoints/{id}/versions/{number}`.

use super::{Row, Version};
use crate::{
    app::App,
    endpoints,
    error::{Answer, Error},
    pagination::{List, Page, PageQuery},
    params::{Id, Ids, Query},
    policies,
    principal::Admin,
};
use alphagate_contract::{
    endpoint::VersionConfig,
    id::{EndpointId, OrgId},
    problem::Code,
};
use axum::{Json, extract::State};
use sqlx::PgConnection;

/// Reads a version with its configuration.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}/versions/{number}",
    params(("id" = EndpointId, Path), ("number" = u32, Path)),
    responses((status = 200, body = Version)),
)]
pub(crate) async fn get(
    admin: Admin,
    State(app): State<App>,
    Ids(endpoint, number): Ids<EndpointId, VersionNumber>,
) -> Answer<Json<Version>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    endpoints::must_exist(&mut tx, admin.org, endpoint).await?;
    let row: Option<Row> = sqlx::query_as(
        "SELECT number, created_at, first_live_at, config::text, resolved::text FROM versions
         WHERE org_id = $1 AND endpoint_id = $2 AND number = $3",
    )
    .bind(admin.org.uuid())
    .bind(endpoint.uuid())
    .bind(number.0)
    .fetch_optional(&mut *tx)
    .await?;
    let row = row.ok_or(Code::NotFound)?;
    let references = policies::of_version(&mut tx, admin.org, endpoint, number.0).await?;
    Ok(Json(row.version(endpoint, references)?))
}

/// Lists versions without their configurations, newest first.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}/versions",
    params(("id" = EndpointId, Path), PageQuery),
    responses((status = 200, body = Page<Version>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Id(endpoint): Id<EndpointId>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<Version>>> {
    let name = format!("versions of {endpoint}");
    let list = List { org: Some(admin.org), name: &name };
    let wanted = list.page::<i32>(&app, &query)?;
    let mut tx = app.tenants().begin(admin.org).await?;
    endpoints::must_exist(&mut tx, admin.org, endpoint).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT number, created_at, first_live_at, NULL AS config, NULL AS resolved FROM versions
         WHERE org_id = $1 AND endpoint_id = $2 AND ($3::integer IS NULL OR number < $3)
         ORDER BY number DESC LIMIT $4",
    )
    .bind(admin.org.uuid())
    .bind(endpoint.uuid())
    .bind(wanted.after)
    .bind(wanted.rows)
    .fetch_all(&mut *tx)
    .await?;
    let versions = rows.into_iter().map(|row| row.version(endpoint, Vec::new())).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), versions, |version: &Version| version.version)?))
}

/// The numbers of all versions of an endpoint of the org.
pub(crate) async fn numbers(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
) -> Result<Vec<u32>, Error> {
    let rows: Vec<(i32,)> =
        sqlx::query_as("SELECT number FROM versions WHERE org_id = $1 AND endpoint_id = $2 ORDER BY number")
            .bind(org.uuid())
            .bind(endpoint.uuid())
            .fetch_all(db)
            .await?;
    rows.into_iter().map(|(number,)| u32::try_from(number).map_err(Error::internal)).collect()
}

/// The configuration of a version of the org's own; none if there is no such version.
pub(crate) async fn config(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    number: u32,
) -> Result<Option<VersionConfig>, Error> {
    let Ok(number) = i32::try_from(number) else { return Ok(None) };
    let row: Option<(String,)> = sqlx::query_as(
        "SELECT config::text FROM versions WHERE org_id = $1 AND endpoint_id = $2 AND number = $3",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(number)
    .fetch_optional(db)
    .await?;
    row.map(|(text,)| serde_json::from_str(&text)).transpose().map_err(Error::internal)
}

/// The number of a version or revision in a path: one spelling only.
pub(crate) struct VersionNumber(i32);

impl VersionNumber {
    /// The number, which is positive.
    pub(crate) const fn get(&self) -> u32 {
        self.0.unsigned_abs()
    }

    /// The number as its column holds it.
    pub(crate) const fn column(&self) -> i32 {
        self.0
    }
}

impl std::str::FromStr for VersionNumber {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number: i32 = text.parse().map_err(|_| ())?;
        (number > 0 && number.to_string() == text).then_some(Self(number)).ok_or(())
    }
}
