//! `POST /v1/keys`: a new key; the only answer that shows its text.

use super::{NewKey, mint};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Effect},
    error::Answer,
    principal::Admin,
    roles::Action,
};
use axum::{extract::State, http::StatusCode};

pub(crate) async fn create(admin: Admin, State(app): State<App>, body: Body<NewKey>) -> Answer {
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let minted = mint(&app, change.db(), admin.org, &body.value).await?;
    change.record(Note::of(&admin, Action::KeysWrite, "create", "key", minted.id()).after(&minted)).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &minted).await
}
