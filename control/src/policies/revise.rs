//! `POST /v1/policies/{id}/revisions`: what a policy says from now on. The revisions before it stay as they are, and so does
//! every version that was created under them.

use super::{Entry, check, check_credentials, insert_revision, read};
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
use alphagate_contract::{id::PolicyId, policy::Policy, problem::Code};
use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPolicyRevision {
    /// All that it says.
    policy: Policy,
    /// Refused (409) if the newest revision is another one.
    expected_revision: Option<u32>,
    /// None: it stays.
    description: Option<Description>,
}

/// Makes a new revision. Versions refer to it from now on; those that exist stay under the ones that they were made under.
#[utoipa::path(
    post,
    path = "/v1/policies/{id}/revisions",
    params(("id" = PolicyId, Path)),
    request_body(
        content = NewPolicyRevision,
        example = json!({"policy": {"pii": {"email": "redact"}, "retention": {"max_days": 1}}, "expected_revision": 1})
    ),
    responses(
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
    let origins = check(&app, &new.policy)?;
    let mut change = match Change::begin(&app, admin.org, body.once).await? {
        Begun::Fresh(change) => change,
        Begun::Done(answer) => return Ok(answer),
    };
    let newest: Option<(i32,)> =
        sqlx::query_as("SELECT newest FROM policies WHERE org_id = $1 AND id = $2 FOR NO KEY UPDATE")
            .bind(admin.org.uuid())
            .bind(id.uuid())
            .fetch_optional(change.db())
            .await?;
    let (newest,) = newest.ok_or(Code::NotFound)?;
    if new.expected_revision.is_some_and(|expected| i64::from(expected) != i64::from(newest)) {
        return Err(Error::conflict(format!(
            "The newest revision is {newest}, not the one that was expected. Read it, and say what it should become."
        )));
    }
    check_credentials(change.db(), admin.org, &new.policy, &origins).await?;
    let before = read::find(change.db(), admin.org, id).await?;
    insert_revision(change.db(), admin.org, id, newest + 1, &new.policy, None).await?;
    sqlx::query(
        "UPDATE policies SET newest = $3, description = coalesce($4, description), changed_at = now()
         WHERE org_id = $1 AND id = $2",
    )
    .bind(admin.org.uuid())
    .bind(id.uuid())
    .bind(newest + 1)
    .bind(new.description.as_ref().map(Description::as_str))
    .execute(change.db())
    .await?;
    let revised = read::find(change.db(), admin.org, id).await?;
    let note = Note::of(&admin, Action::PoliciesWrite, "revise", "policy", id);
    change.record(note.before(&before).after(&revised)).await?;
    change.finish(StatusCode::CREATED, Effect::Plain, &revised).await
}
