//! `POST /v1/jobs/{id}/cancel`: a queued job ends at once; what a runner has, it is told to stop. As often as one likes.

use super::{create::changed, settle};
use crate::{
    app::App,
    audit::{self, Note},
    error::Answer,
    events::{self, Notice},
    params::Id,
    principal::Evaluator,
    roles::Action,
};
use alphagate_contract::{
    id::{JobId, RunnerId},
    problem::Code,
};
use axum::extract::State;
use uuid::Uuid;

/// Cancels a job: a queued one ends at once, a runner is told to stop. As often as one likes.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/cancel",
    params(("id" = JobId, Path)),
    responses((status = 200, body = super::view::Job)),
)]
pub(crate) async fn cancel(evaluator: Evaluator, State(app): State<App>, Id(job): Id<JobId>) -> Answer {
    let org = evaluator.org;
    let mut tx = app.tenants().begin(org).await?;
    let current = settle::lock(&mut tx, org, job).await?.ok_or(Code::NotFound)?;
    match current.state.as_str() {
        "queued" => settle::cancel_queued(&app, &mut tx, org, job, &current).await?,
        "starting" | "running" => {
            let (runner,): (Uuid,) = sqlx::query_as(
                "UPDATE jobs SET cancel_asked_at = coalesce(cancel_asked_at, now())
                 WHERE org_id = $1 AND id = $2 RETURNING runner_id",
            )
            .bind(org.uuid())
            .bind(job.uuid())
            .fetch_one(&mut *tx)
            .await?;
            events::notify(&mut tx, Notice::Runner(RunnerId::from_uuid(runner))).await?;
        }
        _ => {}
    }
    if matches!(current.state.as_str(), "queued" | "starting" | "running") {
        audit::record(&app, &mut tx, Note::of(&evaluator, Action::JobsRun, "cancel", "job", job)).await?;
    }
    let answer = changed(&mut tx, org, job).await?;
    tx.commit().await?;
    Ok(answer)
}
