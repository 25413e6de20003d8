//! `POST /v1/endpoints/{id}/promote` and `POST /v1/endpoints/{id}/rollback`: publications under names that say what they
//! are for. Nothing else moves the live pointer, and the gate stands before these as before every other.

use super::create::{NewPublication, publish};
use crate::{
    app::App,
    body::{Body, present},
    change::{Begun, Change, Changed},
    endpoints::{self, Endpoint},
    error::{Answer, Error},
    idempotency::Once,
    params::Id,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    problem::{Code, Problem},
};
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;

/// The request to make the canary live.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promotion {
    /// The version that the caller believes to be the canary; any, if left out.
    version: Option<u32>,
    /// Past the gate; needs the scope `force`.
    #[serde(default)]
    force: bool,
}

/// The request to go back.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// What the caller believes to be live; it must be said.
    #[serde(deserialize_with = "present")]
    #[schema(required)]
    expected_live: Option<u32>,
    /// Past the gate; needs the scope `force`.
    #[serde(default)]
    force: bool,
}

/// Makes the canary live for everybody, under the gate.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/promote",
    params(("id" = EndpointId, Path)),
    request_body(content = Promotion, example = json!({"version": 2})),
    responses(
        (status = 201, body = Changed<super::Publication>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn promote(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<EndpointId>,
    body: Body<Promotion>,
) -> Answer {
    let wanted = body.value;
    let (change, before) = match begin(&app, &admin, id, wanted.force, body.once).await? {
        Ok(begun) => begun,
        Err(answer) => return Ok(answer),
    };
    let canary =
        before.canary.filter(|canary| wanted.version.is_none_or(|version| version == canary.version));
    let Some(canary) = canary else {
        let message = "This is not the canary. Start one, or publish the version.";
        let problem = Problem::new(Code::Conflict).param("version").message(message);
        return Err(problem.details(json!({"canary": before.canary})).into());
    };
    let publication = NewPublication::to(canary.version, before.live, wanted.force);
    publish(&app, &admin, change, &before, &publication).await
}

/// Makes live again what was live before, under the gate.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/rollback",
    params(("id" = EndpointId, Path)),
    request_body(content = Rollback, example = json!({"expected_live": 2})),
    responses(
        (status = 201, body = Changed<super::Publication>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn rollback(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<EndpointId>,
    body: Body<Rollback>,
) -> Answer {
    let wanted = body.value;
    let (mut change, before) = match begin(&app, &admin, id, wanted.force, body.once).await? {
        Ok(begun) => begun,
        Err(answer) => return Ok(answer),
    };
    let refuse = |param: &str, message: &str| {
        let problem = Problem::new(Code::Conflict).param(param).message(message);
        Error::from(problem.details(json!({"live": before.live})))
    };
    if before.live != wanted.expected_live {
        return Err(refuse("expected_live", "Another version is live than the one that was expected."));
    }
    let replaced = match before.live {
        Some(live) => replaced_by(change.db(), admin.org, id, live).await?,
        None => None,
    };
    let version = replaced.ok_or_else(|| refuse("id", "Nothing was live before. Publish a version."))?;
    let publication = NewPublication::to(version, before.live, wanted.force);
    publish(&app, &admin, change, &before, &publication).await
}

/// Begins a move of a locked endpoint's live pointer; or the answer, if it was made before.
async fn begin(
    app: &App,
    admin: &Admin,
    id: EndpointId,
    force: bool,
    once: Once,
) -> Answer<Result<(Change, Endpoint), axum::response::Response>> {
    if force {
        admin.must(Action::EndpointsForce)?;
    }
    let mut change = match Change::begin(app, admin.org, once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(Err(answer)),
    };
    let before = endpoints::lock(change.db(), admin.org, id).await?.not_withdrawn()?;
    Ok(Ok((change, before)))
}

/// What the newest publication of what is live replaced.
async fn replaced_by(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    live: u32,
) -> Result<Option<u32>, Error> {
    let row: Option<(Option<i32>,)> = sqlx::query_as(
        "SELECT replaced FROM publications
         WHERE org_id = $1 AND endpoint_id = $2 AND version = $3 AND state = 'live' AND canary_percent IS NULL
         ORDER BY id DESC LIMIT 1",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(i32::try_from(live).map_err(Error::internal)?)
    .fetch_optional(db)
    .await?;
    row.and_then(|(replaced,)| replaced).map(u32::try_from).transpose().map_err(Error::internal)
}
