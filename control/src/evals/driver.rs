//! The loop that drives runs: woken when one begins, has room for more items, or has ended, and now and then by itself.
//!
//! Every replica has one. Which of them takes a step is decided by the lock of the run's feed.

use super::feed::{self, Stepped};
use crate::{app::App, error::Error};
use alphagate_contract::id::{OrgId, RunId};
use std::time::Duration;
use uuid::Uuid;

/// Most runs that are looked at in one round; the next round starts after the last of them.
const ROUND_MAX: i64 = 200;
/// Pause after a round that failed: the database may be away.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs for ever.
pub(crate) async fn drive(app: App) {
    let mut watch = app.hub().watch_runs();
    loop {
        match rounds(&app).await {
            Ok(()) => watch.changed().await,
            Err(error) => {
                tracing::warn!(%error, "runs go on in the next round");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Takes steps of all runs, in turns, until none has anything to do.
async fn rounds(app: &App) -> Result<(), Error> {
    let mut after = Uuid::nil();
    let mut again = false;
    loop {
        let runs: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "SELECT org_id, run_id FROM eval_run_feeds WHERE run_id > $1 ORDER BY run_id LIMIT $2",
        )
        .bind(after)
        .bind(ROUND_MAX)
        .fetch_all(app.system())
        .await?;
        let Some((_, last)) = runs.last() else {
            if !std::mem::take(&mut again) {
                return Ok(());
            }
            after = Uuid::nil();
            continue;
        };
        after = *last;
        for (org, run) in runs {
            let (org, run) = (OrgId::from_uuid(org), RunId::from_uuid(run));
            match feed::step(app, org, run).await {
                Ok(stepped) => again |= stepped == Stepped::Again,
                // One run's trouble is not the others'.
                Err(error) => tracing::warn!(%run, %error, "a step of a run failed; it is taken again"),
            }
        }
    }
}
