//! `POST /v1/policies`: a name, and its first revision: from a preset, from a document, or from both, the stricter winning.

use super::{
    Entry, check, check_credentials, insert_revision,
    presets::{Moderator, PresetName, document},
    read,
};
use crate::{
    app::App,
    audit::Note,
    body::Body,
    change::{Begun, Change, Changed, Effect},
    error::Answer,
    principal::Admin,
    roles::Action,
    text::Description,
};
use alphagate_contract::{
    id::PolicyId,
    policy::{Policy, PolicyName},
};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

/// The request: `preset`, `policy`, or both.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPolicy {
    name: PolicyName,
    #[serde(default)]
    description: Description,
    /// What it is made from, by the preset's name.
    preset: Option<PresetName>,
    /// Who is asked for the preset's thresholds; none: nobody, and they are left out.
    moderator: Option<Moderator>,
    /// What it says, besides the preset.
    policy: Option<Policy>,
}

/// Makes a policy with its first revision: from a preset, a document, or both.
#[utoipa::path(
    post,
    path = "/v1/policies",
    request_body(
        content = NewPolicy,
        example = json!({"name": "school", "preset": "6-8", "policy": {"locked": ["temperature"]}})
    ),
    responses(
        (status = 201, body = Changed<Entry>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(admin: Admin, State(app): State<App>, body: Body<NewPolicy>) -> Answer {
    let new = body.value;
    let policy = document(new.preset, new.moderator.as_ref(), new.policy.as_ref())?;
    let origins = check(&app, &policy)?;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    check_credentials(change.db(), admin.org, &policy, &origins).await?;
    let id = app.new_id(PolicyId::new);
    sqlx::query("INSERT INTO policies (org_id, id, name, description, newest) VALUES ($1, $2, $3, $4, 1)")
        .bind(admin.org.uuid())
        .bind(id.uuid())
        .bind(new.name.as_str())
        .bind(new.description.as_str())
        .execute(change.db())
        .await?;
    let preset = new.preset.map(PresetName::as_str);
    insert_revision(change.db(), admin.org, id, 1, &policy, preset).await?;
    let made = read::find(change.db(), admin.org, id).await?;
    let note = Note::of(&admin, Action::PoliciesWrite, "create", "policy", id).after(&made);
    change.record(note).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &made).await
}
