//! `POST /v1/credentials`: a provider's secret, and the one origin that it is for.

use super::{Credential, Row, SecretText, columns, locked::Locked, write_record};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Changed, Effect},
    error::Answer,
    principal::Admin,
    roles::Action,
    text::Label,
    upstream, vault,
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
        (status = 503, description = "vault_unavailable"),
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
    let key = vault::current(&app, change.db(), admin.org).await?;
    let locked = Locked::new(&app, &key, id, 1, &new.secret.0)?;
    let row: Row = sqlx::query_as(concat!(
        "INSERT INTO credentials (org_id, id, name, origin, seal_kid, sealed, data_key, sealed_count, last_four, secret, vault_kid)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN copies THEN $10 END, CASE WHEN copies THEN $11 END
         FROM vault_move RETURNING ",
        columns!()
    ))
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .bind(new.name.as_str())
    .bind(&new.origin)
    .bind(&app.settings().seal_public_keys.kid)
    .bind(locked.sealed)
    .bind(locked.data_key)
    .bind(locked.count)
    .bind(locked.last_four)
    .bind(locked.copy)
    .bind(app.vault().texts().kid())
    .fetch_one(change.db())
    .await?;
    write_record(&app, change.db(), admin.org, id, &new.origin, &new.secret.0).await?;
    let credential = Credential::from(row);
    let note = Note::of(&admin, Action::CredentialsWrite, "create", "credential", id).after(&credential);
    change.record(note).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &credential).await
}
