//! `POST /v1/policies/{id}/revisions`: what a policy says from now on. The revisions before it stay as they are, and so does
//! every version that was created under them.

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
    error::{Answer, Error},
    params::Id,
    principal::Admin,
    roles::Action,
    text::Description,
};
use alphagate_contract::{id::PolicyId, policy::Policy};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

/// The request: all that the policy says from now on, as when one is made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPolicyRevision {
    /// What it is made from, by the preset's name.
    preset: Option<PresetName>,
    /// Who is asked for the preset's thresholds.
    moderator: Option<Moderator>,
    /// What it says, besides the preset.
    policy: Option<Policy>,
    /// Refused (409) if the newest revision is another one.
    expected_revision: Option<u32>,
    /// None: it stays.
    description: Option<Description>,
}

/// Makes a new revision, unless the newest one says the same (200). Versions refer to it from now on; those that exist stay under the ones that they were made under.
#[utoipa::path(
    post,
    path = "/v1/policies/{id}/revisions",
    params(("id" = PolicyId, Path)),
    request_body(
        content = NewPolicyRevision,
        example = json!({"policy": {"pii": {"email": "redact"}, "retention": {"max_days": 1}}, "expected_revision": 1})
    ),
    responses(
        (status = 200, body = Changed<Entry>),
        (status = 201, body = Changed<Entry>),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn revise(
    admin: Admin,
    State(app): State<App>,
    Id(id): Id<PolicyId>,
    body: Body<NewPolicyRevision>,
) -> Answer {
    let new = body.value;
    let policy = document(new.preset, new.moderator.as_ref(), new.policy.as_ref())?;
    let origins = check(&app, &policy)?;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let newest = read::lock(change.db(), admin.org, id).await?;
    if new.expected_revision.is_some_and(|expected| i64::from(expected) != i64::from(newest)) {
        return Err(Error::conflict(format!(
            "The newest revision is {newest}, not the one that was expected. Read it, and say what it should become."
        )));
    }
    check_credentials(change.db(), admin.org, &policy, &origins).await?;
    let before = read::find(change.db(), admin.org, id).await?;
    let is_new = before.policy.as_ref() != Some(&policy);
    let description = new.description.filter(|wanted| wanted.as_str() != before.description);
    if !is_new && description.is_none() {
        return change.finish(StatusCode::OK, Effect::Plain, &before).await;
    }
    let number = newest + i32::from(is_new);
    if is_new {
        let preset = new.preset.map(PresetName::as_str);
        insert_revision(change.db(), admin.org, id, number, &policy, preset).await?;
    }
    sqlx::query(
        "UPDATE policies SET newest = $3, description = coalesce($4, description), changed_at = now()
         WHERE org_id = $1 AND id = $2",
    )
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .bind(number)
    .bind(description.as_ref().map(Description::as_str))
    .execute(change.db())
    .await?;
    let revised = read::find(change.db(), admin.org, id).await?;
    let note = Note::of(&admin, Action::PoliciesWrite, "revise", "policy", id);
    change.record(note.before(&before).after(&revised)).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    change.finish(status, Effect::Plain, &revised).await
}
