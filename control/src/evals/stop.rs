//! A run is stopped: its jobs end, what is under way is nobody's any more, and what was counted stays.
//!
//! Locks in the order feed, job, output item, run. Jobs are stopped twice: a transaction that was ending one of them may
//! have made another before it let the first go.

use super::{RunStatus, count, feed};
use crate::{app::App, error::Error, events, jobs, publications};
use alphagate_contract::{
    id::{EvalId, OrgId, PublicationId, RunId},
    problem::Code,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// Ends a run that has not ended, in the caller's transaction.
///
/// It waits for transactions that end a job of the run. Those may end the run, and so lock its publication: who holds
/// the publication's lock calls this before taking it.
pub(crate) async fn cancel_run(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
) -> Result<(), Error> {
    stop(app, db, org, run).await.map(drop)
}

/// The same, for somebody who is not the run's publication: that one is told.
pub(super) async fn stop_and_tell(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
) -> Result<(), Error> {
    if !stop(app, db, org, run).await? {
        return Ok(());
    }
    let found: Option<(Option<Uuid>,)> =
        sqlx::query_as("SELECT publication_id FROM eval_runs WHERE org_id = $1 AND id = $2")
            .bind(org.uuid())
            .bind(run.uuid())
            .fetch_optional(&mut *db)
            .await?;
    match found.and_then(|(publication,)| publication) {
        Some(publication) => {
            publications::run_ended(app, db, org, PublicationId::from_uuid(publication)).await
        }
        None => Ok(()),
    }
}

/// Whether it had not ended before.
async fn stop(app: &App, db: &mut PgConnection, org: OrgId, run: RunId) -> Result<bool, Error> {
    let feed: Option<(Uuid,)> =
        sqlx::query_as("SELECT run_id FROM eval_run_feeds WHERE org_id = $1 AND run_id = $2 FOR UPDATE")
            .bind(org.uuid())
            .bind(run.uuid())
            .fetch_optional(&mut *db)
            .await?;
    if feed.is_none() {
        return Ok(false);
    }
    for _ in 0..2 {
        jobs::cancel_run(app, db, org, run).await?;
    }
    sqlx::query(
        "UPDATE output_items SET state = 'done', status = 'canceled', ended_at = now()
         WHERE org_id = $1 AND run_id = $2 AND state <> 'done'",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .execute(&mut *db)
    .await?;
    let stopped = count::end(app, db, org, run, RunStatus::Canceled).await?;
    feed::forget(db, org, run).await?;
    events::notify(db, events::Notice::Run(run)).await?;
    Ok(stopped)
}

/// Stops runs, and deletes them with everything that came of them.
pub(super) async fn delete(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    runs: &[RunId],
) -> Result<(), Error> {
    for run in runs {
        stop_and_tell(app, db, org, *run).await?;
        sqlx::query("DELETE FROM eval_runs WHERE org_id = $1 AND id = $2")
            .bind(org.uuid())
            .bind(run.uuid())
            .execute(&mut *db)
            .await?;
        crate::files::forget_run(db, org, *run).await?;
    }
    Ok(())
}

/// A run that is not this eval's is not there.
pub(super) async fn must_exist(
    db: &mut PgConnection,
    org: OrgId,
    eval: EvalId,
    run: RunId,
) -> Result<(), Error> {
    let (found,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM eval_runs WHERE org_id = $1 AND eval_id = $2 AND id = $3)",
    )
    .bind(org.uuid())
    .bind(eval.uuid())
    .bind(run.uuid())
    .fetch_one(db)
    .await?;
    if found { Ok(()) } else { Err(Code::NotFound.into()) }
}
