//! `PUT /v1/credentials/{id}/secret`: another secret for the same origin; versions and installs go on with it.

use super::{SecretText, locked::Kept, read};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Change, Changed, Effect},
    error::Answer,
    params::Id,
    principal::Admin,
    roles::Action,
};
use alphagate_contract::{id::CredentialId, problem::Code};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {
    secret: SecretText,
}

/// Replaces the secret; versions and installs go on with it.
#[utoipa::path(
    put,
    path = "/v1/credentials/{id}/secret",
    params(("id" = CredentialId, Path)),
    request_body(content = NewSecret, example = json!({"secret": "sk-another"})),
    responses(
        (status = 200, body = Changed<super::Credential>),
        (status = 503, description = "vault_unavailable"),
    ),
)]
pub(crate) async fn rotate(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<CredentialId>,
    body: Body<NewSecret>,
) -> Answer {
    let secret = &body.value.secret.0;
    let mut change = Change::begin_repeatable(&app, admin.org).await?;
    let kept = Kept::lock(change.db(), admin.org, id).await?.ok_or(Code::NotFound)?;
    let before = read::find(change.db(), admin.org, id).await?;
    kept.replace(&app, change.db(), (admin.org, id), secret, true).await?;
    let credential = read::find(change.db(), admin.org, id).await?;
    let note = Note::of(&admin, Action::CredentialsWrite, "rotate", "credential", id);
    change.record(note.before(&before).after(&credential)).await?;
    change.finish(StatusCode::OK, Effect::Plain, &credential).await
}
