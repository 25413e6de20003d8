//! `PATCH /v1/endpoints/{id}`: description, tags, visibility, terms. Made private, it takes no new installs; those that exist
//! go on.

use super::{Terms, Visibility, columns, lock, read, tags::Tags};
use crate::{
    app::App,
    audit::Note,
    body::{Body, word},
    change::{Change, Changed, Effect},
    error::Answer,
    orgs,
    params::Id,
    principal::Admin,
    roles::Action,
    text::Description,
};
use alphagate_contract::id::EndpointId;
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use sqlx::types::Json;

/// The request; what is not named stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndpointChange {
    description: Option<Description>,
    /// All of them, instead of those that there are.
    tags: Option<Tags>,
    visibility: Option<Visibility>,
    installs: Option<Terms>,
}

/// Changes description, tags, visibility or terms. Made private, it takes no new installs; those that exist go on.
#[utoipa::path(
    patch,
    path = "/v1/endpoints/{id}",
    params(("id" = EndpointId, Path)),
    request_body(content = EndpointChange, example = json!({"visibility": "public"})),
    responses((status = 200, body = Changed<super::Endpoint>), (status = 409, description = "conflict")),
)]
pub(crate) async fn change(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<EndpointId>,
    body: Body<EndpointChange>,
) -> Answer {
    let wanted = body.value;
    if let Some(terms) = &wanted.installs {
        terms.check()?;
    }
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    let before = lock(change.db(), admin.org, id).await?.not_withdrawn()?;
    let (payer, paid) = wanted.installs.as_ref().map(columns).unzip();
    sqlx::query(
        "UPDATE endpoints SET description = coalesce($3, description), visibility = coalesce($4, visibility),
            payer = coalesce($5, payer), limits = coalesce($6, limits),
            publisher_paid = publisher_paid OR coalesce($7, false), tags = coalesce($8, tags)
         WHERE org_id = $1 AND id = $2",
    )
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .bind(wanted.description.as_ref().map(Description::as_str))
    .bind(wanted.visibility.map(word))
    .bind(payer)
    .bind(wanted.installs.as_ref().map(|terms| Json(&terms.limits)))
    .bind(paid)
    .bind(wanted.tags.as_ref().map(Tags::as_slice))
    .execute(change.db())
    .await?;
    if wanted.installs.is_some() {
        orgs::write_record(change.db(), admin.org).await?;
    }
    let endpoint = read::find(change.db(), admin.org, id).await?;
    let note = Note::of(&admin, Action::EndpointsWrite, "change", "endpoint", id);
    change.record(note.before(&before).after(&endpoint)).await?;
    change.finish(StatusCode::OK, Effect::Plain, &endpoint).await
}
