//! `POST /v1/evals/{id}/runs`.

use super::read::find;
use crate::{
    app::App,
    audit::{self, Note},
    body::Body,
    error::Answer,
    evals::{
        metadata::Metadata,
        once::{Begun, Creation},
        start::{self, Start, UNTITLED},
    },
    params::Id,
    principal::Evaluator,
    roles::Action,
    text::Label,
};
use alphagate_contract::id::EvalId;
use axum::extract::State;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest body: thousands of items along with the request; more go into a file.
const RUN_MAX_BYTES: usize = 16 * 1024 * 1024;

/// The request.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEvalRun)]
pub(crate) struct NewRunBody {
    #[serde(default)]
    name: Option<Label>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[schema(value_type = Object)]
    data_source: Box<RawValue>,
}

/// Starts a run of an eval.
#[utoipa::path(
    post,
    path = "/v1/evals/{id}/runs",
    params(("id" = EvalId, Path)),
    request_body(
        content = NewRunBody,
        example = json!({"name": "first", "data_source": {"type": "responses", "model": "haiku", "source": {"type": "file_content", "content": [{"item": {"about": "rain"}}]}, "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.about}}"}]}}})
    ),
    responses(
        (status = 201, body = crate::evals::run::Run),
        (status = 400, description = "unsupported_parameter"),
        (status = 409, description = "conflict, idempotency_mismatch"),
    ),
)]
pub(crate) async fn create(
    caller: Evaluator,
    State(app): State<App>,
    Id(eval): Id<EvalId>,
    body: Body<NewRunBody, RUN_MAX_BYTES>,
) -> Answer {
    let wanted = body.value;
    let mut creation = match Creation::begin(&app, caller.org, body.once).await? {
        Begun::Fresh(creation) => creation,
        Begun::Done(answer) => return Ok(answer),
    };
    let start = Start {
        eval,
        name: wanted.name.as_ref().map_or(UNTITLED, Label::as_str),
        metadata: wanted.metadata,
        data_source: wanted.data_source.get(),
        model: None,
        publication: None,
    };
    let run = start::start_checked(&app, &mut creation.tx, caller.org, start).await?;
    let made = find(&app, &mut creation.tx, caller.org, eval, run).await?;
    let note = Note::of(&caller, Action::EvalsRun, "create", "run", run).after(&made);
    audit::record(&app, &mut creation.tx, note).await?;
    creation.finish(&app, &made).await
}
