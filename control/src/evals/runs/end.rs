//! `POST /v1/evals/{id}/runs/{run}/cancel`, as the SDKs say it, or without the last word, as OpenAI's reference has it; and
//! `DELETE` of a run.

use super::read::find;
use crate::{
    app::App,
    audit::{self, Note},
    error::Answer,
    evals::{
        run::{Run, deleted},
        stop,
    },
    params::Ids,
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::id::{EvalId, RunId};
use axum::{Json, extract::State};
use serde_json::Value;

/// Stops a run; one that has ended stays as it is.
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

pub(crate) async fn delete(
    caller: Evaluator,
    State(app): State<App>,
    Ids(eval, run): Ids<EvalId, RunId>,
) -> Answer<Json<Value>> {
    let mut tx = app.tenants().begin(caller.org).await?;
    stop::must_exist(&mut tx, caller.org, eval, run).await?;
    stop::delete(&app, &mut tx, caller.org, &[run]).await?;
    audit::record(&app, &mut tx, Note::of(&caller, Action::EvalsRun, "delete", "run", run)).await?;
    tx.commit().await?;
    Ok(Json(deleted(run)))
}
