//! `POST /v1/evals/{id}/runs/{run}/cancel`, as the SDKs say it, or without the last word, as OpenAI's reference has it; and
//! `DELETE` of a run.

use super::read::find;
use crate::{
    app::App,
    audit::{self, Note},
    error::Answer,
    evals::{
        run::{DeletedRun, Run},
        stop,
    },
    params::Ids,
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::id::{EvalId, RunId};
use axum::{Json, extract::State};

/// Stops a run, as the SDKs spell it; one that has ended stays as it is.
#[utoipa::path(
    post,
    path = "/v1/evals/{id}/runs/{run}/cancel",
    params(("id" = EvalId, Path), ("run" = RunId, Path)),
    responses((status = 200, body = Run)),
)]
pub(crate) async fn cancel(
    caller: Evaluator,
    State(app): State<App>,
    Ids(eval, run): Ids<EvalId, RunId>,
) -> Answer<Json<Run>> {
    let mut tx = app.tenants().begin(caller.org).await?;
    stop::must_exist(&mut tx, caller.org, eval, run).await?;
    stop::stop_and_tell(&app, &mut tx, caller.org, run).await?;
    let stopped = find(&app, &mut tx, caller.org, eval, run).await?;
    let note = Note::of(&caller, Action::EvalsRun, "cancel", "run", run).after(&stopped);
    audit::record(&app, &mut tx, note).await?;
    tx.commit().await?;
    Ok(Json(stopped))
}

/// Stops a run, as OpenAI's reference spells it; one that has ended stays as it is.
#[utoipa::path(
    post,
    path = "/v1/evals/{id}/runs/{run}",
    params(("id" = EvalId, Path), ("run" = RunId, Path)),
    responses((status = 200, body = Run)),
)]
pub(crate) async fn cancel_by_post(
    caller: Evaluator,
    app: State<App>,
    ids: Ids<EvalId, RunId>,
) -> Answer<Json<Run>> {
    cancel(caller, app, ids).await
}

/// Deletes a run with its output items.
#[utoipa::path(
    delete,
    path = "/v1/evals/{id}/runs/{run}",
    params(("id" = EvalId, Path), ("run" = RunId, Path)),
    responses((status = 200, body = DeletedRun)),
)]
pub(crate) async fn delete(
    caller: Evaluator,
    State(app): State<App>,
    Ids(eval, run): Ids<EvalId, RunId>,
) -> Answer<Json<DeletedRun>> {
    let mut tx = app.tenants().begin(caller.org).await?;
    stop::must_exist(&mut tx, caller.org, eval, run).await?;
    stop::delete(&app, &mut tx, caller.org, &[run]).await?;
    audit::record(&app, &mut tx, Note::of(&caller, Action::EvalsRun, "delete", "run", run)).await?;
    tx.commit().await?;
    Ok(Json(DeletedRun::new(run)))
}
