//! `POST /operator/v1/orgs/{id}/data-key`: a new data key for an org; its credentials are encrypted anew with it.

use super::{
    data_keys,
    renew::{self, BATCH_MAX, Progress},
};
use crate::{
    app::App,
    audit::{self, Note},
    credentials,
    error::{Answer, Error},
    orgs,
    params::Id,
    principal::Operator,
};
use alphagate_contract::id::OrgId;
use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use serde_json::json;

/// The answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DataKeyRotation)]
pub(crate) struct Rotated {
    org: OrgId,
    /// The number of the new data key.
    number: i32,
    /// The org's credentials; what is left goes on by itself, or by `renew`.
    credentials: Progress,
    /// Older data keys that were destroyed, because nothing is under them any more.
    destroyed: Vec<i32>,
}

/// Makes a new data key for an org, and encrypts its credentials anew with it. No call notices.
#[utoipa::path(
    post,
    path = "/operator/v1/orgs/{id}/data-key",
    params(("id" = OrgId, Path)),
    responses(
        (status = 201, body = Rotated),
        (status = 409, description = "conflict"),
        (status = 503, description = "vault_unavailable"),
    ),
)]
pub(crate) async fn rotate(
    operator: Operator,
    State(app): State<App>,
    Id(org): Id<OrgId>,
) -> Answer<(StatusCode, Json<Rotated>)> {
    orgs::must_exist(&mut *app.system().acquire().await?, org).await?;
    let mut tx = app.tenants().begin(org).await?;
    let before = data_keys::newest_number(&mut tx, org).await?;
    let number = before.unwrap_or(0) + 1;
    let made = data_keys::add(&app, &mut tx, org, number).await?;
    made.ok_or_else(|| Error::conflict("Another rotation of this data key has just begun."))?;
    let what = ("operator.vault.write", "rotate", "data_key");
    let note = Note::by_operator(&operator, Some(org), what, number);
    let note = note.before(&json!({"number": before})).after(&json!({"number": number}));
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    let credentials = credentials::renew_of_org(&app, org, number, BATCH_MAX).await?;
    let destroyed = renew::destroy_unused(&app, org, number).await.unwrap_or_else(|error| {
        tracing::warn!(%error, %org, "an older data key is still in use: it goes in the next round");
        Vec::new()
    });
    Ok((StatusCode::CREATED, Json(Rotated { org, number, credentials, destroyed })))
}
