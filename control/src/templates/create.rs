//! `POST /v1/templates/{name}/endpoints`: a private endpoint with the template as its first version, a draft.

use super::find;
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Changed, Effect},
    endpoints::{self, Endpoint, NewEndpoint, Tags, Terms, Visibility},
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    roles::Action,
    text::Description,
    versions,
};
use alphagate_contract::{endpoint::VersionConfig, id::CredentialId, name::EndpointName};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

/// The request; what is not named is the template's.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromTemplate {
    name: EndpointName,
    description: Option<Description>,
    /// The credential of every target.
    credential: Option<CredentialId>,
    /// Another provider's base URL, for every target.
    base_url: Option<String>,
    /// Another model, for every target.
    model: Option<String>,
}

/// A new endpoint after a template.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TemplatedEndpoint {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// Its first version, a draft.
    version: u32,
    template: &'static str,
}

/// Makes a private endpoint with the template as its first version, a draft.
#[utoipa::path(
    post,
    path = "/v1/templates/{name}/endpoints",
    params(("name" = String, Path, example = "text-classifier")),
    request_body(content = FromTemplate, example = json!({"name": "inbox"})),
    responses(
        (status = 201, body = Changed<TemplatedEndpoint>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(
    admin: Admin,
    State(app): State<App>,
    Id(name): Id<String>,
    body: Body<FromTemplate>,
) -> Answer {
    let template = find(&name)?;
    let wanted = body.value;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let config = wanted.applied_to(template.version);
    let described = Description::try_from(template.description.to_owned()).map_err(Error::internal)?;
    let tags: Vec<String> = template.tags.iter().map(|tag| (*tag).to_owned()).collect();
    let new = NewEndpoint {
        name: wanted.name,
        description: wanted.description.unwrap_or(described),
        tags: Tags::try_from(tags).map_err(Error::internal)?,
        visibility: Visibility::Private,
        installs: Terms::INSTALLER_PAYS,
    };
    let endpoint = endpoints::make(&app, change.db(), &admin, &new).await?;
    let version = versions::add(&app, change.db(), admin.org, endpoint.id, config).await?.version;
    let begun = TemplatedEndpoint { endpoint, version, template: template.name };
    let note = Note::of(&admin, Action::EndpointsWrite, "create", "endpoint", begun.endpoint.id);
    change.record(note.after(&begun)).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &begun).await
}

impl FromTemplate {
    /// The template's configuration with the caller's targets.
    fn applied_to(&self, mut config: VersionConfig) -> VersionConfig {
        for target in &mut config.targets {
            target.credential = self.credential;
            target.base_url = self.base_url.clone().unwrap_or_else(|| target.base_url.clone());
            target.model = self.model.clone().unwrap_or_else(|| target.model.clone());
        }
        config
    }
}
