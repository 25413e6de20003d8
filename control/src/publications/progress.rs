//! What became of each eval that a publication's gate demands: its run, its counts, its verdict, and the items that
//! did not pass, each with its address.

use super::runs;
use crate::{
    body::from_word,
    error::Error,
    evals::{RunStatus, Summary},
    gates::{Reason, Thresholds},
};
use alphagate_contract::id::{EvalId, OrgId, OutputItemId, PublicationId, RunId};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// One eval of the gate.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = GateProgress)]
pub(super) struct Progress {
    eval: EvalId,
    eval_revision: i64,
    /// Digest of the data, hex.
    data_digest: String,
    thresholds: Thresholds,
    run: RunId,
    /// Where the run is read.
    run_url: String,
    /// Whether another publication's run is used.
    reused: bool,
    run_status: RunStatus,
    counts: Counts,
    mean_scores: BTreeMap<String, f64>,
    /// `passed`, `failed` or `inconclusive`; none while the run goes on, or if nobody waited for its end.
    verdict: Option<String>,
    reasons: Vec<Reason>,
    /// Items that did not pass, the first ones.
    failing: Vec<Item>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = GateCounts)]
struct Counts {
    passed: i64,
    failed: i64,
    errored: i64,
    /// Those of the errored that are the platform's fault.
    infrastructure: i64,
    total: i64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = FailingItem)]
struct Item {
    id: OutputItemId,
    url: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    eval_id: Uuid,
    eval_revision: i64,
    data_digest: Vec<u8>,
    thresholds: Json<Thresholds>,
    run_id: Uuid,
    of_publication: Uuid,
    verdict: Option<String>,
    reasons: Json<Vec<Reason>>,
    status: Option<String>,
    passed: Option<i64>,
    failed: Option<i64>,
    errored: Option<i64>,
    infrastructure: Option<i64>,
    total: Option<i64>,
    failing: Option<Vec<Uuid>>,
    mean_scores: Option<Json<BTreeMap<String, f64>>>,
}

/// The evals of a publication, in the order of the gate.
pub(super) async fn of(
    db: &mut PgConnection,
    org: OrgId,
    publication: PublicationId,
) -> Result<Vec<Progress>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT v.eval_id, v.eval_revision, v.data_digest, v.thresholds, v.run_id, v.verdict, v.reasons,
            r.publication_id AS of_publication, r.status, r.passed, r.failed, r.errored, r.infrastructure, r.total,
            r.failing, r.mean_scores
         FROM verdicts v JOIN gate_runs r ON r.org_id = v.org_id AND r.run_id = v.run_id
         WHERE v.org_id = $1 AND v.publication_id = $2 ORDER BY v.position",
    )
    .bind(org.uuid())
    .bind(publication.uuid())
    .fetch_all(&mut *db)
    .await?;
    let mut evals = Vec::with_capacity(rows.len());
    for row in rows {
        let run = RunId::from_uuid(row.run_id);
        let summary = match row.summary()? {
            Some(copied) => copied,
            None => runs::summary(db, org, run).await?,
        };
        evals.push(progress(publication, row, summary));
    }
    Ok(evals)
}

impl Row {
    /// What was copied when the run ended; none if it goes on.
    fn summary(&self) -> Result<Option<Summary>, Error> {
        let Some(status) = &self.status else { return Ok(None) };
        let failing = self.failing.iter().flatten().copied().map(OutputItemId::from_uuid);
        Ok(Some(Summary {
            status: from_word(status)?,
            passed: self.passed.unwrap_or(0),
            failed: self.failed.unwrap_or(0),
            errored: self.errored.unwrap_or(0),
            infrastructure: self.infrastructure.unwrap_or(0),
            total: self.total.unwrap_or(0),
            failing: failing.collect(),
            mean_scores: self.mean_scores.as_ref().map(|means| means.0.clone()).unwrap_or_default(),
        }))
    }
}

fn progress(publication: PublicationId, row: Row, summary: Summary) -> Progress {
    let (eval, run) = (EvalId::from_uuid(row.eval_id), RunId::from_uuid(row.run_id));
    let run_url = format!("/v1/evals/{eval}/runs/{run}");
    let item = |id| Item { id, url: format!("{run_url}/output_items/{id}") };
    Progress {
        eval,
        eval_revision: row.eval_revision,
        data_digest: hex::encode(row.data_digest),
        thresholds: row.thresholds.0,
        run,
        reused: row.of_publication != publication.uuid(),
        run_status: summary.status,
        counts: Counts {
            passed: summary.passed,
            failed: summary.failed,
            errored: summary.errored,
            infrastructure: summary.infrastructure,
            total: summary.total,
        },
        mean_scores: summary.mean_scores,
        verdict: row.verdict,
        reasons: row.reasons.0,
        failing: summary.failing.into_iter().map(item).collect(),
        run_url,
    }
}
