//! `POST /v1/endpoints/{id}/fork`: a new endpoint of one's own, after one's own or after one of the catalog.
//!
//! One's own is copied with a version's whole configuration. Of another org's only what the catalog shows is copied, its
//! description and tags: configurations are read by their own org only, and this takes no other way to them.

use super::{
    Endpoint, Terms, Visibility,
    create::{NewEndpoint, make},
    find,
    tags::Tags,
};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    catalog,
    change::{Begun, Change, Changed, Effect},
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    roles::Action,
    text::Description,
    versions,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    name::EndpointName,
    problem::{Code, Problem},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// The request.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFork {
    name: EndpointName,
    /// The original's, if left out.
    description: Option<Description>,
    /// Of one's own endpoint: the version to begin with; if left out, what is live, or else the newest.
    version: Option<u32>,
}

/// What was copied.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ForkOrigin)]
pub(crate) struct Origin {
    endpoint: EndpointId,
    publisher: OrgId,
    /// The version whose configuration was copied; none of another org's endpoint.
    version: Option<u32>,
}

/// A new endpoint, and what it was made after.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Fork {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// Its first version, a draft; none after another org's endpoint.
    version: Option<u32>,
    forked_from: Origin,
}

/// Makes an endpoint after one's own, with a version's configuration, or after one of the catalog, with what that shows.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/fork",
    params(("id" = EndpointId, Path)),
    request_body(content = NewFork, example = json!({"name": "haiku-2"})),
    responses(
        (status = 201, body = Changed<Fork>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn fork(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<EndpointId>,
    body: Body<NewFork>,
) -> Answer {
    let wanted = body.value;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let fork = match own(change.db(), admin.org, id).await? {
        Some(original) => of_own(&app, &mut change, &admin, original, wanted).await?,
        None => of_offer(&app, &mut change, &admin, id, wanted).await?,
    };
    let note = Note::of(&admin, Action::EndpointsWrite, "fork", "endpoint", fork.endpoint.id).after(&fork);
    change.record(note).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &fork).await
}

/// The endpoint, if it is the org's own.
async fn own(db: &mut PgConnection, org: OrgId, id: EndpointId) -> Result<Option<Endpoint>, Error> {
    match find(db, org, id).await {
        Err(Error::Problem(problem)) if problem.code == Code::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// A private endpoint of the caller's.
fn new(name: EndpointName, description: Description, tags: Tags) -> NewEndpoint {
    NewEndpoint { name, description, tags, visibility: Visibility::Private, installs: Terms::INSTALLER_PAYS }
}

async fn of_own(
    app: &App,
    change: &mut Change,
    admin: &Admin,
    original: Endpoint,
    wanted: NewFork,
) -> Result<Fork, Error> {
    let number = match wanted.version.or(original.live) {
        Some(number) => Some(number),
        None => versions::numbers(change.db(), admin.org, original.id).await?.into_iter().max(),
    };
    let config = match number {
        Some(number) => {
            let found = versions::config(change.db(), admin.org, original.id, number).await?;
            Some(found.ok_or_else(|| Error::field("version", "this endpoint has no such version"))?)
        }
        None => None,
    };
    let described = Description::try_from(original.description).map_err(Error::internal)?;
    let made = new(wanted.name, wanted.description.unwrap_or(described), original.tags);
    let endpoint = make(app, change.db(), admin, &made).await?;
    let version = match config {
        Some(config) => Some(versions::add(app, change.db(), admin.org, endpoint.id, config).await?.version),
        None => None,
    };
    let forked_from = Origin { endpoint: original.id, publisher: admin.org, version: number };
    Ok(Fork { endpoint, version, forked_from })
}

async fn of_offer(
    app: &App,
    change: &mut Change,
    admin: &Admin,
    id: EndpointId,
    wanted: NewFork,
) -> Result<Fork, Error> {
    let mut system = app.system().acquire().await?;
    let shown = catalog::find(&mut system, id).await?.ok_or(Code::NotFound)?;
    drop(system);
    if wanted.version.is_some() {
        let message = "the configuration of another org's endpoint is not shown: leave it out";
        return Err(Problem::new(Code::Unprocessable).param("version").message(message).into());
    }
    let described = Description::try_from(shown.description).map_err(Error::internal)?;
    let tags = Tags::try_from(shown.tags).map_err(Error::internal)?;
    let made = new(wanted.name, wanted.description.unwrap_or(described), tags);
    let endpoint = make(app, change.db(), admin, &made).await?;
    let forked_from = Origin { endpoint: id, publisher: shown.publisher, version: None };
    Ok(Fork { endpoint, version: None, forked_from })
}
