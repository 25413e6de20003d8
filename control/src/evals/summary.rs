//! What a gate asks of a run, of an eval's criteria and of data.

use crate::{body::from_word, error::Error};
use alphagate_contract::{
    id::{EvalId, OrgId, OutputItemId, RunId},
    problem::Code,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Most items that are named as the ones that did not pass: what a person reads before looking at the run itself.
const FAILING_MAX: i64 = 20;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunStatus {
    /// None of its items has begun.
    Queued,
    /// It is under way.
    InProgress,
    /// Every item was counted, and at least one was scored.
    Completed,
    /// It was stopped.
    Canceled,
    /// Nothing could be scored.
    Failed,
}

impl RunStatus {
    /// Whether nothing will change any more.
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Canceled | Self::Failed)
    }
}

/// What a run says of its subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// Where it is.
    pub(crate) status: RunStatus,
    /// Items whose every grader passed.
    pub(crate) passed: i64,
    /// Items that a grader failed.
    pub(crate) failed: i64,
    /// Items without a verdict.
    pub(crate) errored: i64,
    /// Those of the errored that are the platform's fault; the others are the subject's, the graders' or the data's.
    pub(crate) infrastructure: i64,
    /// Items of the run, begun or not.
    pub(crate) total: i64,
    /// The first 20 items that did not pass, in the order of the data.
    pub(crate) failing: Vec<OutputItemId>,
    /// By the grader's name, over the items that it scored.
    pub(crate) mean_scores: BTreeMap<String, f64>,
}

#[derive(sqlx::FromRow)]
struct Row {
    status: String,
    passed: i64,
    failed: i64,
    errored: i64,
    infrastructure: i64,
    total: i64,
    names: Vec<String>,
    scored: Vec<i64>,
    scores: Vec<f64>,
}

/// What a run says of its subject, so far.
pub(crate) async fn summary(db: &mut PgConnection, org: OrgId, run: RunId) -> Result<Summary, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT eval_runs.status, passed, failed, errored, infrastructure, total,
            ARRAY(SELECT criterion ->> 'name' FROM json_array_elements(testing_criteria)
                WITH ORDINALITY AS criteria (criterion, place) ORDER BY place) AS names,
            ARRAY(SELECT p + f FROM unnest(grader_passed, grader_failed) AS counts (p, f)) AS scored,
            grader_scores AS scores
         FROM eval_runs JOIN evals ON evals.org_id = eval_runs.org_id AND evals.id = eval_id
         WHERE eval_runs.org_id = $1 AND eval_runs.id = $2",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .fetch_optional(&mut *db)
    .await?;
    let row = row.ok_or(Code::NotFound)?;
    let failing: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT id FROM output_items
         WHERE org_id = $1 AND run_id = $2 AND status IN ('fail', 'error') ORDER BY number LIMIT $3",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(FAILING_MAX)
    .fetch_all(db)
    .await?;
    let means = row.names.into_iter().zip(row.scored.into_iter().zip(row.scores));
    let means = means.filter(|(_, (scored, _))| *scored > 0);
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 items")]
    let mean_scores = means.map(|(name, (scored, sum))| (name, sum / scored as f64)).collect();
    Ok(Summary {
        status: from_word(&row.status)?,
        passed: row.passed,
        failed: row.failed,
        errored: row.errored,
        infrastructure: row.infrastructure,
        total: row.total,
        failing: failing.into_iter().map(|(id,)| OutputItemId::from_uuid(id)).collect(),
        mean_scores,
    })
}

/// The revision of an eval's criteria and schema; none if there is no such eval.
pub(crate) async fn revision(db: &mut PgConnection, org: OrgId, eval: EvalId) -> Result<Option<i64>, Error> {
    let found: Option<(i64,)> = sqlx::query_as("SELECT revision FROM evals WHERE org_id = $1 AND id = $2")
        .bind(org.uuid())
        .bind(eval.uuid())
        .fetch_optional(db)
        .await?;
    Ok(found.map(|(revision,)| revision))
}
