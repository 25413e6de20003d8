//! `POST /v1/evals`.

use super::{
    eval::{DataSourceConfig, Definition, Eval, Row, columns},
    metadata::Metadata,
    once::{Begun, Creation},
};
use crate::{
    app::App,
    audit::{self, Note},
    body::Body,
    error::{Answer, Error},
    principal::Evaluator,
    roles::Action,
    text::Label,
};
use alphagate_contract::id::EvalId;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;

/// Longest body: a dozen graders with sources of 256 kB, escaped.
const EVAL_MAX_BYTES: usize = 4 * 1024 * 1024;
/// The name of an eval that was given none.
const UNTITLED: &str = "Untitled eval";

/// The request.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEval {
    #[serde(default)]
    name: Option<Label>,
    #[serde(default)]
    metadata: Option<Metadata>,
    data_source_config: DataSourceConfig,
    #[schema(value_type = Vec<crate::graders::Grader>)]
    testing_criteria: Vec<Value>,
}

/// Makes an eval: a schema of data, plus graders.
#[utoipa::path(
    post,
    path = "/v1/evals",
    request_body(
        content = NewEval,
        example = json!({"name": "haiku shape", "data_source_config": {"type": "custom", "item_schema": {"type": "object", "properties": {"about": {"type": "string"}}, "required": ["about"]}, "include_sample_schema": true}, "testing_criteria": [{"type": "string_check", "name": "exact", "input": "{{sample.output_text}}", "reference": "{{item.about}}", "operation": "ilike"}]})
    ),
    responses(
        (status = 201, body = Eval),
        (status = 400, description = "unsupported_parameter"),
        (status = 409, description = "idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(
    caller: Evaluator,
    State(app): State<App>,
    body: Body<NewEval, EVAL_MAX_BYTES>,
) -> Answer {
    let wanted = body.value;
    let definition = Definition::accept(wanted.data_source_config, wanted.testing_criteria)?;
    let mut creation = match Creation::begin(&app, caller.org, body.once).await? {
        Begun::Fresh(creation) => creation,
        Begun::Done(answer) => return Ok(answer),
    };
    let json = |value: serde_json::Result<String>| value.map_err(Error::internal);
    let row: Row = sqlx::query_as(concat!(
        "INSERT INTO evals (org_id, id, name, metadata, data_source_config, testing_criteria)
         VALUES ($1, $2, $3, $4::text::json, $5::text::json, $6::text::json) RETURNING ",
        columns!()
    ))
    .bind(caller.org.uuid())
    .bind(app.new_id(EvalId::new).uuid())
    .bind(wanted.name.as_ref().map_or(UNTITLED, Label::as_str))
    .bind(wanted.metadata.map(|metadata| json(serde_json::to_string(&metadata))).transpose()?)
    .bind(json(serde_json::to_string(&definition.config()))?)
    .bind(json(serde_json::to_string(&definition.criteria))?)
    .fetch_one(&mut *creation.tx)
    .await?;
    let eval = Eval::try_from(row)?;
    let note = Note::of(&caller, Action::EvalsRun, "create", "eval", eval.id).after(&eval);
    audit::record(&app, &mut creation.tx, note).await?;
    creation.finish(&app, &eval).await
}
