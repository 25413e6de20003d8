//! `POST /operator/v1/vault/end-move`: the last program that knows the old form only is gone, so its copies go, too.

use crate::{
    app::App,
    audit::{self, Note},
    credentials,
    error::Answer,
    principal::Operator,
};
use axum::{Json, extract::State};
use serde::Serialize;

/// The answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = VaultMove)]
pub(crate) struct Moved {
    /// Whether copies in the old form are kept from now on: never.
    copies: bool,
}

/// Says that no program of the last release runs any more, nor will: copies of credentials in its form are not kept from now
/// on, and those that are there are wiped by `renew`, or by itself. This cannot be taken back.
#[utoipa::path(post, path = "/operator/v1/vault/end-move", responses((status = 200, body = Moved)))]
pub(crate) async fn end_move(operator: Operator, State(app): State<App>) -> Answer<Json<Moved>> {
    let mut tx = app.system().begin().await?;
    credentials::keep_no_copies(&mut tx).await?;
    let moved = Moved { copies: false };
    let what = ("operator.vault.write", "end move", "vault");
    audit::record(&app, &mut tx, Note::by_operator(&operator, None, what, "vault").after(&moved)).await?;
    tx.commit().await?;
    Ok(Json(moved))
}
