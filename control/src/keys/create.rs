//! `POST /v1/keys`: a new key; the only answer that shows its text.

use super::{NewKey, mint};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Changed, Effect},
    error::Answer,
    principal::Admin,
    roles::{Action, Power},
};
use axum::{extract::State, http::StatusCode};

/// Makes a key. Only this answer shows its text.
#[utoipa::path(
    post,
    path = "/v1/keys",
    request_body(content = NewKey, example = json!({"name": "production", "scopes": ["call"]})),
    responses((status = 201, body = Changed<super::Minted>), (status = 409, description = "idempotency_mismatch")),
)]
pub(crate) async fn create(admin: Admin, State(app): State<App>, body: Body<NewKey>) -> Answer {
    admin.must_grant(Power::Scopes(&body.value.scopes), "scopes")?;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let minted = mint(&app, change.db(), admin.org, &body.value).await?;
    change.record(Note::of(&admin, Action::KeysWrite, "create", "key", minted.id()).after(&minted)).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &minted).await
}
