//! The two held polls: work, and commands. They end at once when there is something to say.

use crate::{
    app::App,
    body::Body,
    error::Answer,
    jobs::{self, Asker},
    params::Id,
    runners::{self, RunnerHost},
};
use alphagate_contract::{
    id::RunnerId,
    job::dispatch::{AskCommands, Claim, Claims, Commands, Slots},
};
use axum::{Json, extract::State};
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;

/// Longest time between two looks for work: notices tell of new jobs, but not that a job's time has come.
const LOOK: Duration = Duration::from_secs(1);

/// Asks for work; held until there is some, or for as long as the registration said.
#[utoipa::path(
    post,
    path = "/runner/v1/runners/{runner}/claim",
    params(("runner" = RunnerId, Path)),
    request_body(content = Claim, example = json!({"free": {"sandbox": 1, "sample": 0}})),
    responses((status = 200, body = Claims), (status = 409, description = "runner_unknown")),
)]
pub(crate) async fn claim(
    host: RunnerHost,
    State(app): State<App>,
    Id(runner): Id<RunnerId>,
    body: Body<Claim>,
) -> Answer<Json<Claims>> {
    let known = runners::seen(&app, &host, runner).await?;
    let asker =
        Asker { runner, token: runners::token_uuid(&host), labels: &known.labels, images: &known.images };
    let until = Instant::now() + app.settings().runner_poll;
    let free = if known.drain { Slots::default() } else { body.value.free };
    let mut watch = app.hub().watch_work();
    loop {
        let jobs = jobs::claim(&app, &asker, free).await?;
        let left = until.saturating_duration_since(Instant::now());
        if !jobs.is_empty() || left.is_zero() || watch.is_stopping() {
            return Ok(Json(Claims { jobs }));
        }
        watch.changed_within(left.min(LOOK)).await;
    }
}

/// Asks what to stop; held until there is something new, or for as long as the registration said.
#[utoipa::path(
    post,
    path = "/runner/v1/runners/{runner}/commands",
    params(("runner" = RunnerId, Path)),
    request_body(content = AskCommands, example = json!({"known": [], "draining": false})),
    responses((status = 200, body = Commands), (status = 409, description = "runner_unknown")),
)]
pub(crate) async fn commands(
    host: RunnerHost,
    State(app): State<App>,
    Id(runner): Id<RunnerId>,
    body: Body<AskCommands>,
) -> Answer<Json<Commands>> {
    let ask = body.value;
    let until = Instant::now() + app.settings().runner_poll;
    let known: HashSet<_> = ask.known.iter().copied().collect();
    let mut watch = app.hub().watch(runner.uuid());
    loop {
        let drain = runners::seen(&app, &host, runner).await?.drain;
        let stop = jobs::to_stop(&app, runner).await?;
        let is_new = stop.iter().any(|held| !known.contains(&held.attempt)) || (drain && !ask.draining);
        let left = until.saturating_duration_since(Instant::now());
        if is_new || left.is_zero() || watch.is_stopping() {
            return Ok(Json(Commands { stop, drain }));
        }
        watch.changed_capped(left).await;
    }
}
