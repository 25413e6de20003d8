//! `POST /v1/evals/{id}`: another name, other metadata. What is left out stays; `metadata: null` takes it away.

use super::{
    eval::{Eval, Row, columns},
    metadata::Metadata,
};
use crate::{
    app::App,
    audit::{self, Note},
    body::{Body, present},
    error::{Answer, Error},
    params::Id,
    principal::Evaluator,
    roles::Action,
    text::Label,
};
use alphagate_contract::{id::EvalId, problem::Code};
use axum::{Json, extract::State};
use serde::{Deserialize, Deserializer};

/// The request.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvalChange {
    #[serde(default)]
    name: Option<Label>,
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Metadata>)]
    metadata: Option<Option<Metadata>>,
}

/// A field that was said, though it may be null.
fn said<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Option<Metadata>>, D::Error> {
    present(json).map(Some)
}

/// Changes an eval's name or metadata; what is left out stays, `metadata: null` takes it away.
#[utoipa::path(
    post,
    path = "/v1/evals/{id}",
    params(("id" = EvalId, Path)),
    request_body(content = EvalChange, example = json!({"name": "haiku form"})),
    responses((status = 200, body = Eval)),
)]
pub(crate) async fn change(
    caller: Evaluator,
    State(app): State<App>,
    Id(id): Id<EvalId>,
    body: Body<EvalChange>,
) -> Answer<Json<Eval>> {
    let wanted = body.value;
    let metadata = wanted.metadata.clone().flatten().map(|metadata| serde_json::to_string(&metadata));
    let mut tx = app.tenants().begin(caller.org).await?;
    let row: Option<Row> = sqlx::query_as(concat!(
        "UPDATE evals SET name = coalesce($3, name), updated_at = now(),
            metadata = CASE WHEN $4 THEN $5::text::json ELSE metadata END
         WHERE org_id = $1 AND id = $2 RETURNING ",
        columns!()
    ))
    .bind(caller.org.uuid())
    .bind(id.uuid())
    .bind(wanted.name.as_ref().map(Label::as_str))
    .bind(wanted.metadata.is_some())
    .bind(metadata.transpose().map_err(Error::internal)?)
    .fetch_optional(&mut *tx)
    .await?;
    let eval = Eval::try_from(row.ok_or(Code::NotFound)?)?;
    let note = Note::of(&caller, Action::EvalsRun, "change", "eval", id).after(&eval);
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(Json(eval))
}
