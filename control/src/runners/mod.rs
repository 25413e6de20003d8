//! Runners: the hosts that take jobs, and the tokens that they register with.
//!
//! A runner is what one registration made; a restarted host is another one. It is never dialled: it is alive as long as
//! it asks.

mod read;
mod register;
mod token;

pub(crate) use read::{Hosts, drain, hosts, list};
pub(crate) use register::{goodbye, register};
pub(crate) use token::{RunnerHost, create as create_token, list as list_tokens, revoke as revoke_token};

use crate::{
    app::App,
    error::{Answer, Error},
};
use alphagate_contract::{id::RunnerId, problem::Code};
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    token::create,
    token::list,
    token::revoke,
    read::list,
    read::drain,
    register::register,
    register::goodbye
))]
pub(crate) struct Docs;

/// How long a runner that was not heard of is remembered, days.
const FORGET_DAYS: i32 = 7;

/// A registered runner that asks for something.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Runner {
    /// Its labels.
    pub(crate) labels: Vec<String>,
    /// Its images.
    pub(crate) images: Vec<String>,
    /// Whether it was told to leave.
    pub(crate) drain: bool,
}

/// Notes that the runner is alive. One that is not known, or of another token, has to register.
pub(crate) async fn seen(app: &App, host: &RunnerHost, runner: RunnerId) -> Answer<Runner> {
    let found: Option<Runner> = sqlx::query_as(
        "UPDATE runners SET seen_at = now() WHERE id = $1 AND token_id = $2 AND gone_at IS NULL
         RETURNING labels, images, drain",
    )
    .bind(runner.uuid())
    .bind(host.token.uuid())
    .fetch_optional(app.system())
    .await?;
    found.ok_or_else(|| Code::RunnerUnknown.into())
}

/// Notes that the runner has brought an attempt to its end.
pub(crate) async fn note_finished(app: &App, runner: RunnerId) -> Answer<()> {
    sqlx::query("UPDATE runners SET finished = finished + 1 WHERE id = $1")
        .bind(runner.uuid())
        .execute(app.system())
        .await?;
    Ok(())
}

/// Forgets runners that have long been gone; gives how many.
pub(crate) async fn forget_gone(app: &App) -> Result<u64, Error> {
    let gone = sqlx::query("DELETE FROM runners WHERE seen_at < now() - $1 * interval '1 day'")
        .bind(FORGET_DAYS)
        .execute(app.system())
        .await?;
    Ok(gone.rows_affected())
}

/// How long after its last word a runner counts as alive, milliseconds: every one renews and polls within that time.
fn alive_ms(app: &App) -> i64 {
    let quiet = app.settings().lease + app.settings().runner_poll;
    i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX)
}

/// The id of a token as the jobs' rows keep it.
pub(crate) const fn token_uuid(host: &RunnerHost) -> Uuid {
    host.token.uuid()
}
