//! What a runner reports: that it is still at work, what the jobs write, and how they ended.

use crate::{
    app::App,
    body::Body,
    error::Answer,
    jobs::{self, Seen},
    params::Id,
    runners::{self, RunnerHost},
};
use alphagate_contract::{
    id::{OrgId, RunnerId},
    job::dispatch::{FINISH_MAX_BYTES, Finish, Held, OUTPUT_MAX_BYTES, Output, Renew, Renewed},
    problem::Code,
};
use axum::{Json, extract::State, http::StatusCode};

/// Longest body of output: the bytes in base64, and room for the chunks' names.
const OUTPUT_BODY_MAX_BYTES: usize = OUTPUT_MAX_BYTES / 3 * 4 + 64 * 1024;

/// Renews the leases of everything that the runner is at work on.
#[utoipa::path(
    post,
    path = "/runner/v1/runners/{runner}/renew",
    params(("runner" = RunnerId, Path)),
    request_body(
        content = Renew,
        example = json!({"held": [{"job": "job_0198c0de00007000800000000000000a", "attempt": "att_0198c0de00007000800000000000000a"}]})
    ),
    responses((status = 200, body = Renewed), (status = 409, description = "runner_unknown")),
)]
pub(crate) async fn renew(
    host: RunnerHost,
    State(app): State<App>,
    Id(runner): Id<RunnerId>,
    body: Body<Renew>,
) -> Answer<Json<Renewed>> {
    runners::seen(&app, &host, runner).await?;
    let lost = jobs::renew(&app, runner, runners::token_uuid(&host), body.value.held).await?;
    Ok(Json(Renewed { lost }))
}

/// Whose job it is. A job that no runner with this token had is over for it.
async fn org_of(app: &App, host: &RunnerHost, held: Held) -> Answer<OrgId> {
    let org = jobs::org_of(app, runners::token_uuid(host), held.job).await?;
    org.ok_or_else(|| Code::AttemptSuperseded.into())
}

/// Hands over what a job wrote.
#[utoipa::path(
    post,
    path = "/runner/v1/runners/{runner}/output",
    params(("runner" = RunnerId, Path)),
    request_body(
        content = Output,
        example = json!({"held": {"job": "job_0198c0de00007000800000000000000a", "attempt": "att_0198c0de00007000800000000000000a"}, "first": 0, "chunks": [{"stream": "stdout", "data": "NDIK"}]})
    ),
    responses((status = 204), (status = 409, description = "runner_unknown, attempt_superseded")),
)]
pub(crate) async fn output(
    host: RunnerHost,
    State(app): State<App>,
    Id(runner): Id<RunnerId>,
    body: Body<Output, OUTPUT_BODY_MAX_BYTES>,
) -> Answer<StatusCode> {
    runners::seen(&app, &host, runner).await?;
    let output = body.value;
    let org = org_of(&app, &host, output.held).await?;
    jobs::append(&app, org, output).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says how an attempt ended. Repeating it gives the same answer.
#[utoipa::path(
    post,
    path = "/runner/v1/runners/{runner}/finish",
    params(("runner" = RunnerId, Path)),
    request_body(
        content = Finish,
        example = json!({"held": {"job": "job_0198c0de00007000800000000000000a", "attempt": "att_0198c0de00007000800000000000000a"}, "report": {"ending": {"how": "exited", "code": 0}}})
    ),
    responses((status = 204), (status = 409, description = "runner_unknown, attempt_superseded")),
)]
pub(crate) async fn finish(
    host: RunnerHost,
    State(app): State<App>,
    Id(runner): Id<RunnerId>,
    body: Body<Finish, FINISH_MAX_BYTES>,
) -> Answer<StatusCode> {
    runners::seen(&app, &host, runner).await?;
    let Finish { held, report } = body.value;
    let org = org_of(&app, &host, held).await?;
    let first = jobs::finish(&app, org, held, Seen::Report(Box::new(report))).await?;
    if first {
        runners::note_finished(&app, runner).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
