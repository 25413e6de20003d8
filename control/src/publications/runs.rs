//! The runs of a gate: started for a publication, and what they measured, copied when they end.
//!
//! The copy is written in the transaction that ends the run, so a decision reads rows of this feature only, and stands
//! when the run itself is deleted. An ended run never changes.

use super::verdicts::Subject;
use crate::{
    app::App,
    body::{from_word, word},
    error::Error,
    evals::{self, NewRun, RunStatus, Summary},
    events::{Notice, notify},
    gates::Measured,
};
use alphagate_contract::id::{EvalId, OrgId, PublicationId, RunId};
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a run measures a version by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) eval: EvalId,
    pub(super) revision: i64,
    pub(super) digest: [u8; 32],
}

/// A run of a version for a gate.
#[derive(Debug)]
pub(super) struct GateRun {
    pub(super) run: RunId,
    pub(super) publication: PublicationId,
    /// None: it goes on.
    pub(super) measured: Option<Measured>,
}

#[derive(sqlx::FromRow)]
struct Row {
    run_id: Uuid,
    publication_id: Uuid,
    status: Option<String>,
    passed: Option<i64>,
    failed: Option<i64>,
    errored: Option<i64>,
    infrastructure: Option<i64>,
    total: Option<i64>,
    mean_scores: Option<Json<BTreeMap<String, f64>>>,
}

/// The runs of a version by these criteria over these data, oldest first.
pub(super) async fn find(
    db: &mut PgConnection,
    subject: &Subject<'_>,
    key: &Key,
) -> Result<Vec<GateRun>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT run_id, publication_id, status, passed, failed, errored, infrastructure, total,
            mean_scores
         FROM gate_runs
         WHERE org_id = $1 AND endpoint_id = $2 AND version = $3 AND eval_id = $4 AND eval_revision = $5
            AND data_digest = $6
         ORDER BY started_at, run_id",
    )
    .bind(subject.org.uuid())
    .bind(subject.endpoint.uuid())
    .bind(i32::try_from(subject.version).map_err(Error::internal)?)
    .bind(key.eval.uuid())
    .bind(key.revision)
    .bind(key.digest)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(GateRun::try_from).collect()
}

impl TryFrom<Row> for GateRun {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let measured = |status: &str| {
            Ok::<_, Error>(Measured {
                status: from_word(status)?,
                passed: row.passed.unwrap_or(0),
                failed: row.failed.unwrap_or(0),
                errored: row.errored.unwrap_or(0),
                infrastructure: row.infrastructure.unwrap_or(0),
                total: row.total.unwrap_or(0),
                mean_scores: row.mean_scores.map(|scores| scores.0).unwrap_or_default(),
            })
        };
        Ok(Self {
            run: RunId::from_uuid(row.run_id),
            publication: PublicationId::from_uuid(row.publication_id),
            measured: row.status.as_deref().map(measured).transpose()?,
        })
    }
}

/// Starts a run of the version. One that ends at once, for there is nothing to do, has its copy already.
pub(super) async fn start(
    app: &App,
    db: &mut PgConnection,
    subject: &Subject<'_>,
    key: &Key,
    data_source: &Value,
) -> Result<RunId, Error> {
    let model = format!("{}@{}", subject.name, subject.version);
    let new = NewRun {
        eval: key.eval,
        name: format!("gate of {model}"),
        data_source: data_source.clone(),
        model,
        publication: Some(subject.publication),
    };
    let run = evals::start_run(app, db, subject.org, new).await.map_err(|error| refused(key.eval, error))?;
    sqlx::query(
        "INSERT INTO gate_runs (org_id, run_id, publication_id, endpoint_id, version, eval_id, eval_revision, data_digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(subject.org.uuid())
    .bind(run.uuid())
    .bind(subject.publication.uuid())
    .bind(subject.endpoint.uuid())
    .bind(i32::try_from(subject.version).map_err(Error::internal)?)
    .bind(key.eval.uuid())
    .bind(key.revision)
    .bind(key.digest)
    .execute(&mut *db)
    .await?;
    copy_if_ended(db, subject.org, run).await?;
    Ok(run)
}

/// What is wrong with a run is wrong with the gate: whoever publishes did not write it.
fn refused(eval: EvalId, error: Error) -> Error {
    match error {
        Error::Problem(problem) => {
            let place = problem.param.map(|param| format!(" (`{param}`)")).unwrap_or_default();
            Error::field("gate", format!("{eval} cannot be run on this version{place}: {}", problem.message))
        }
        other => other,
    }
}

/// A run of this publication has ended. Called in the transaction that ends it; the decision is taken after its commit,
/// by the sweep: that one takes the endpoint's lock, and who ends a run holds locks of its own.
pub(crate) async fn run_ended(
    _: &App,
    db: &mut PgConnection,
    org: OrgId,
    publication: PublicationId,
) -> Result<(), Error> {
    for run in open(db, org, publication).await? {
        copy_if_ended(db, org, run).await?;
    }
    notify(db, Notice::Sweep).await?;
    Ok(())
}

async fn open(db: &mut PgConnection, org: OrgId, publication: PublicationId) -> Result<Vec<RunId>, Error> {
    let rows: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT run_id FROM gate_runs WHERE org_id = $1 AND publication_id = $2 AND ended_at IS NULL",
    )
    .bind(org.uuid())
    .bind(publication.uuid())
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(run,)| RunId::from_uuid(run)).collect())
}

async fn copy_if_ended(db: &mut PgConnection, org: OrgId, run: RunId) -> Result<(), Error> {
    let summary = summary(db, org, run).await?;
    if summary.status.is_over() {
        copy(db, org, run, &summary).await?;
    }
    Ok(())
}

async fn copy(db: &mut PgConnection, org: OrgId, run: RunId, summary: &Summary) -> Result<(), Error> {
    sqlx::query(
        "UPDATE gate_runs SET ended_at = now(), status = $3, passed = $4, failed = $5, errored = $6,
            infrastructure = $7, total = $8, failing = $9, mean_scores = $10
         WHERE org_id = $1 AND run_id = $2 AND ended_at IS NULL",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(word(summary.status))
    .bind(summary.passed)
    .bind(summary.failed)
    .bind(summary.errored)
    .bind(summary.infrastructure)
    .bind(summary.total)
    .bind(summary.failing.iter().map(|item| item.uuid()).collect::<Vec<_>>())
    .bind(Json(finite(&summary.mean_scores)))
    .execute(db)
    .await?;
    Ok(())
}

/// JSON knows no NaN; a mean that is none is left out.
fn finite(means: &BTreeMap<String, f64>) -> BTreeMap<&str, f64> {
    means.iter().filter(|(_, mean)| mean.is_finite()).map(|(name, mean)| (name.as_str(), *mean)).collect()
}

/// Stops a run that nobody waits for any more. One that is not there, or has ended meanwhile, is as good as stopped.
pub(super) async fn stop(app: &App, db: &mut PgConnection, org: OrgId, run: RunId) -> Result<(), Error> {
    match evals::cancel_run(app, db, org, run).await {
        Err(Error::Problem(_)) => {}
        stopped => stopped?,
    }
    let summary = summary(db, org, run).await?;
    let ended = if summary.status.is_over() { summary } else { GONE };
    copy(db, org, run, &ended).await
}

/// What a run says of its subject; one that was deleted was canceled.
pub(super) async fn summary(db: &mut PgConnection, org: OrgId, run: RunId) -> Result<Summary, Error> {
    match evals::summary(db, org, run).await {
        Err(Error::Problem(_)) => Ok(GONE),
        summary => summary,
    }
}

/// What is copied of a run that cannot be asked any more.
const GONE: Summary = Summary {
    status: RunStatus::Canceled,
    passed: 0,
    failed: 0,
    errored: 0,
    infrastructure: 0,
    total: 0,
    failing: Vec::new(),
    mean_scores: BTreeMap::new(),
};
