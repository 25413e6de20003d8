//! `PATCH /operator/v1/orgs/{id}`: rename, suspend, resume. A suspension holds from the answer on, if the edge accepted.

use super::{find, find_locked, write_record};
use crate::{
    app::App,
    audit::{self, Note},
    body::Body,
    change::{Changed, Effect},
    error::{Answer, Error},
    params::Id,
    principal::Operator,
    text::Label,
};
use alphagate_contract::{id::OrgId, problem::Code};
use axum::{Json, extract::State, response::IntoResponse as _};
use serde::Deserialize;

/// The request; what is not named stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrgChange {
    name: Option<Label>,
    suspended: Option<bool>,
}

/// Renames, suspends or resumes an org. A suspension holds from the answer on, if the edge accepted.
#[utoipa::path(
    patch,
    path = "/operator/v1/orgs/{id}",
    params(("id" = OrgId, Path)),
    request_body(content = OrgChange, example = json!({"suspended": true})),
    responses((status = 200, body = Changed<super::Org>)),
)]
pub(crate) async fn change(
    operator: Operator,
    State(app): State<App>,
    Id(org): Id<OrgId>,
    body: Body<OrgChange>,
) -> Answer {
    let mut tx = app.system().begin().await?;
    let before = find_locked(&mut tx, org).await?;
    let changed = sqlx::query(
        "UPDATE orgs SET name = coalesce($2, name), suspended = coalesce($3, suspended) WHERE id = $1",
    )
    .bind(org.uuid())
    .bind(body.value.name.as_ref().map(Label::as_str))
    .bind(body.value.suspended)
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() == 0 {
        return Err(Code::NotFound.into());
    }
    if body.value.suspended.is_some() {
        write_record(&mut tx, org).await?;
    }
    let found = find(&mut tx, org).await?.ok_or_else(|| Error::internal("the org is not there"))?;
    let what = ("operator.orgs.write", "change", "org");
    let note = Note::by_operator(&operator, Some(org), what, org).before(&before).after(&found);
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    let accepted = app.courier().deliver(org).await;
    Ok(Json(Changed::new(found, Effect::Plain, accepted)).into_response())
}
