//! `GET /v1/catalog`: public, live endpoints of every org, for any org to install.
//!
//! Reads the view `catalog` with the system role; nothing of a private, withdrawn or unpublished endpoint is in it, nor
//! any endpoint's configuration.

use crate::{
    app::App,
    body::from_word,
    endpoints::Terms,
    error::{Answer, Error},
    pagination::{List, Page},
    params::Query,
    principal::Admin,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    problem::{Code, Problem},
    quota::Limit,
    usage::Payer,
};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list))]
pub(crate) struct Docs;

/// Longest search text, in bytes.
const SEARCH_MAX_BYTES: usize = 200;

/// The query.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CatalogQuery {
    /// Part of a name, description or publisher's name, in any case.
    q: Option<String>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Publisher {
    id: OrgId,
    name: String,
}

/// An endpoint that can be installed.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CatalogItem)]
pub(crate) struct Item {
    endpoint: EndpointId,
    publisher: Publisher,
    name: String,
    description: String,
    version: u32,
    installs: Terms,
    /// Where an installer who pays needs a credential for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    credential_origins: Vec<String>,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    publisher_id: Uuid,
    publisher_name: String,
    name: String,
    description: String,
    payer: String,
    limits: sqlx::types::Json<Vec<Limit>>,
    live_version: i32,
    origins: Vec<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Item {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let payer = from_word(&row.payer)?;
        Ok(Self {
            endpoint: EndpointId::from_uuid(row.id),
            publisher: Publisher { id: OrgId::from_uuid(row.publisher_id), name: row.publisher_name },
            name: row.name,
            description: row.description,
            version: u32::try_from(row.live_version).map_err(Error::internal)?,
            credential_origins: if payer == Payer::Installer { row.origins } else { Vec::new() },
            installs: Terms { payer, limits: row.limits.0 },
            created_at: row.created_at,
        })
    }
}

/// Lists public, live endpoints of every org, newest first.
#[utoipa::path(
    get,
    path = "/v1/catalog",
    params(CatalogQuery),
    responses((status = 200, body = Page<Item>)),
)]
pub(crate) async fn list(
    admin: Admin,
    State(app): State<App>,
    Query(query): Query<CatalogQuery>,
) -> Answer<Json<Page<Item>>> {
    let search = query.q.unwrap_or_default();
    if search.len() > SEARCH_MAX_BYTES {
        let problem = Problem::new(Code::ParameterInvalid).param("q");
        return Err(problem.message(format!("`q` must have at most {SEARCH_MAX_BYTES} bytes.")).into());
    }
    let name = format!("catalog\n{search}");
    let list = List { org: Some(admin.org), name: &name };
    let wanted = list.wanted::<Uuid>(&app, query.limit.as_deref(), query.cursor.as_deref())?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, publisher_id, publisher_name, name, description, payer, limits, live_version, origins, created_at
         FROM catalog
         WHERE id < $1
            AND strpos(lower(name || ' ' || description || ' ' || publisher_name), lower($2)) > 0
         ORDER BY id DESC LIMIT $3",
    )
    .bind(wanted.before())
    .bind(search)
    .bind(wanted.rows)
    .fetch_all(app.system())
    .await?;
    let items = rows.into_iter().map(Item::try_from).collect::<Result<_, _>>()?;
    Ok(Json(list.answer(&app, wanted.size(), items, |item: &Item| item.endpoint.uuid())?))
}
