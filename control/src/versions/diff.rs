//! `GET /v1/endpoints/{id}/versions/{number}/diff`: what a version has different from another one, as a patch (RFC 6902).

use super::read::{VersionNumber, config};
use crate::{
    app::App,
    endpoints,
    error::{Answer, Error},
    params::{Ids, Query},
    principal::Admin,
};
use alphagate_contract::{
    endpoint::VersionConfig,
    id::{EndpointId, OrgId},
    problem::{Code, Problem},
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// The other version; if left out, the live one.
    #[param(value_type = Option<u32>, example = 1)]
    against: Option<String>,
}

/// How one version becomes another.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct VersionDiff {
    endpoint: EndpointId,
    /// The version that is patched.
    against: u32,
    /// What it becomes.
    version: u32,
    /// The operations (RFC 6902), in order; none: their configurations are the same.
    #[schema(value_type = Vec<Object>)]
    patch: json_patch::Patch,
}

/// Says how another version's configuration becomes this one's, as a JSON Patch.
#[utoipa::path(
    get,
    path = "/v1/endpoints/{id}/versions/{number}/diff",
    params(("id" = EndpointId, Path), ("number" = u32, Path), DiffQuery),
    responses((status = 200, body = VersionDiff), (status = 400, description = "missing_required_parameter")),
)]
pub(crate) async fn diff(
    admin: Admin,
    State(app): State<App>,
    Ids(endpoint, number): Ids<EndpointId, VersionNumber>,
    Query(query): Query<DiffQuery>,
) -> Answer<Json<VersionDiff>> {
    let mut tx = app.tenants().begin(admin.org).await?;
    let live = endpoints::find(&mut tx, admin.org, endpoint).await?.live;
    let against = query.against(live)?;
    let version = number.get();
    let other = shown(&mut tx, admin.org, endpoint, against).await?;
    let this = shown(&mut tx, admin.org, endpoint, version).await?;
    Ok(Json(VersionDiff { endpoint, against, version, patch: json_patch::diff(&other, &this) }))
}

impl DiffQuery {
    fn against(&self, live: Option<u32>) -> Result<u32, Error> {
        let Some(text) = &self.against else {
            let problem = Problem::new(Code::ParameterMissing).param("against");
            return live.ok_or_else(|| problem.message("No version is live: name one in `against`.").into());
        };
        let number: Option<VersionNumber> = text.parse().ok();
        let problem = || Problem::new(Code::ParameterInvalid).param("against");
        Ok(number.ok_or_else(|| problem().message("`against` must be the number of a version."))?.get())
    }
}

async fn shown(db: &mut PgConnection, org: OrgId, endpoint: EndpointId, number: u32) -> Result<Value, Error> {
    let config: VersionConfig = config(db, org, endpoint, number).await?.ok_or(Code::NotFound)?;
    serde_json::to_value(config).map_err(Error::internal)
}
