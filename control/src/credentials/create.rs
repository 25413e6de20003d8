//! `POST /v1/credentials`: a provider's secret, and the one origin that it is for.

use super::{Credential, Row, SecretText, lock_away, write_record};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Changed, Effect},
    error::Answer,
    principal::Admin,
    roles::Action,
    text::Label,
    upstream,
};
use alphagate_contract::id::CredentialId;
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCredential {
    name: Label,
    origin: String,
    secret: SecretText,
}

/// Stores a provider's secret, for one origin. It is never read back.
#[utoipa::path(
    post,
    path = "/v1/credentials",
    request_body(
        content = NewCredential,
        example = json!({"name": "openai", "origin": "https://api.openai.com", "secret": "sk-example"})
    ),
    responses(
        (status = 201, body = Changed<Credential>),
        (status = 409, description = "idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(admin: Admin, State(app): State<App>, body: Body<NewCredential>) -> Answer {
    let new = body.value;
    upstream::field("origin", app.upstreams().check_origin(&new.origin))?;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let id = app.new_id(CredentialId::new);
    let row: Row = sqlx::query_as(
        "INSERT INTO credentials (org_id, id, name, origin, secret, vault_kid, seal_kid)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         RETURNING id, name, origin, created_at, rotated_at",
    )
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .bind(new.name.as_str())
    .bind(&new.origin)
    .bind(lock_away(&app, admin.org, id, &new.secret.0)?)
    .bind(app.vault().kid())
    .bind(&app.settings().seal_public_keys.kid)
    .fetch_one(change.db())
    .await?;
    write_record(&app, change.db(), admin.org, id, &new.origin, &new.secret.0).await?;
    let credential = Credential::from(row);
    let note = Note::of(&admin, Action::CredentialsWrite, "create", "credential", id).after(&credential);
    change.record(note).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &credential).await
}
