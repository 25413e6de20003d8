//! A run as OpenAI's SDKs read it, and beside it what only we know: what it cost, and how far it is.

use super::{RunStatus, sampling::Sampling, source};
use crate::{
    app::App,
    body::from_word,
    error::Error,
    usage::{self, Spent},
};
use alphagate_contract::id::{EvalId, KeyId, OrgId, PublicationId, RunId};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// A run.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EvalRun)]
pub(crate) struct Run {
    pub(super) id: RunId,
    object: &'static str,
    eval_id: EvalId,
    report_url: String,
    pub(super) status: RunStatus,
    model: String,
    name: String,
    created_at: i64,
    result_counts: Counts,
    per_model_usage: Vec<ModelUsage>,
    per_testing_criteria_results: Vec<CriterionResult>,
    #[schema(value_type = Object)]
    data_source: Box<RawValue>,
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
    alphagate: Ours,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RunCounts)]
struct Counts {
    total: i64,
    errored: i64,
    failed: i64,
    passed: i64,
}

#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
struct ModelUsage {
    #[serde(rename = "model_name")]
    model: String,
    invocation_count: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cached_tokens: i64,
    total_tokens: i64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct CriterionResult {
    testing_criteria: String,
    passed: i64,
    failed: i64,
    /// Ours: a grader that came to no score.
    errored: i64,
    /// Ours: over the items that it scored.
    mean_score: Option<f64>,
}

/// What OpenAI's object has no place for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RunExtras)]
struct Ours {
    /// What was asked with the run's key, as far as the edge has handed it over, millionths of a dollar.
    cost_micros: i64,
    billed_requests: i64,
    progress: Progress,
    /// Items without a verdict that are the platform's fault.
    infrastructure: i64,
    publication: Option<PublicationId>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    notes: Vec<&'static str>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RunProgress)]
struct Progress {
    total: i64,
    started: i64,
    ended: i64,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: Uuid,
    eval_id: Uuid,
    name: String,
    metadata: Option<String>,
    model: String,
    data_source: String,
    publication_id: Option<Uuid>,
    status: String,
    error: Option<String>,
    total: i64,
    started: i64,
    passed: i64,
    failed: i64,
    errored: i64,
    infrastructure: i64,
    grader_passed: Vec<i64>,
    grader_failed: Vec<i64>,
    grader_errored: Vec<i64>,
    grader_scores: Vec<f64>,
    graders: Vec<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

/// The columns of [`Row`], and where they are.
macro_rules! select {
    () => {
        "SELECT eval_runs.id, eval_id, eval_runs.name, eval_runs.metadata::text AS metadata, model,
            data_source::text AS data_source, publication_id, status, error::text AS error, total, started, passed,
            failed, errored, infrastructure, grader_passed, grader_failed, grader_errored, grader_scores,
            ARRAY(SELECT criterion ->> 'name' FROM json_array_elements(testing_criteria)
                WITH ORDINALITY AS criteria (criterion, place) ORDER BY place) AS graders,
            eval_runs.created_at, started_at, ended_at
         FROM eval_runs JOIN evals ON evals.org_id = eval_runs.org_id AND evals.id = eval_id
         WHERE eval_runs.org_id = $1 AND eval_id = $2"
    };
}
pub(super) use select;

/// Reads what lies beside the rows, and makes the objects.
pub(super) async fn runs(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    rows: Vec<Row>,
) -> Result<Vec<Run>, Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    // The key of a run has the run's UUID.
    let keys: Vec<KeyId> = ids.iter().map(|id| KeyId::from_uuid(*id)).collect();
    let spent = usage::of_keys(db, org, &keys).await?;
    let mut models = model_usage(db, org, &ids).await?;
    let make = |row: Row| {
        let spent = spent.get(&KeyId::from_uuid(row.id)).copied().unwrap_or_default();
        let models = models.remove(&row.id).unwrap_or_default();
        row.run(app, spent, models)
    };
    rows.into_iter().map(make).collect()
}

async fn model_usage(
    db: &mut PgConnection,
    org: OrgId,
    runs: &[Uuid],
) -> Result<HashMap<Uuid, Vec<ModelUsage>>, Error> {
    #[derive(sqlx::FromRow)]
    struct OfRun {
        run_id: Uuid,
        #[sqlx(flatten)]
        usage: ModelUsage,
    }
    let rows: Vec<OfRun> = sqlx::query_as(
        "SELECT run_id, model, invocation_count, prompt_tokens, completion_tokens, cached_tokens, total_tokens
         FROM eval_run_usage WHERE org_id = $1 AND run_id = ANY($2) ORDER BY run_id, model",
    )
    .bind(org.uuid())
    .bind(runs)
    .fetch_all(db)
    .await?;
    let mut found: HashMap<Uuid, Vec<ModelUsage>> = HashMap::new();
    for row in rows {
        found.entry(row.run_id).or_default().push(row.usage);
    }
    Ok(found)
}

fn raw(text: String) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(Error::internal)
}

impl Row {
    fn run(self, app: &App, spent: Spent, per_model_usage: Vec<ModelUsage>) -> Result<Run, Error> {
        let (id, eval_id) = (RunId::from_uuid(self.id), EvalId::from_uuid(self.eval_id));
        let notes = self.notes();
        let ours = Ours {
            cost_micros: spent.cost_micros,
            billed_requests: spent.requests,
            progress: Progress {
                total: self.total,
                started: self.started,
                ended: self.passed + self.failed + self.errored,
            },
            infrastructure: self.infrastructure,
            publication: self.publication_id.map(PublicationId::from_uuid),
            started_at: self.started_at.map(|at| at.timestamp()),
            ended_at: self.ended_at.map(|at| at.timestamp()),
            notes,
        };
        Ok(Run {
            id,
            object: "eval.run",
            eval_id,
            report_url: format!("{}/v1/evals/{eval_id}/runs/{id}", app.settings().public_url()),
            status: from_word(&self.status)?,
            per_testing_criteria_results: self.criteria(),
            model: self.model,
            name: self.name,
            created_at: self.created_at.timestamp(),
            result_counts: Counts {
                total: self.total,
                errored: self.errored,
                failed: self.failed,
                passed: self.passed,
            },
            per_model_usage,
            data_source: raw(self.data_source)?,
            error: self.error.map(|text| serde_json::from_str(&text)).transpose().map_err(Error::internal)?,
            metadata: self.metadata.map(raw).transpose()?,
            alphagate: ours,
        })
    }

    fn notes(&self) -> Vec<&'static str> {
        let ask = source::data_source(&self.data_source, None).ok().and_then(|data| data.ask);
        ask.map(|ask| Sampling::notes(&ask.sampling)).unwrap_or_default()
    }

    fn criteria(&self) -> Vec<CriterionResult> {
        let count = |counts: &[i64], at: usize| counts.get(at).copied().unwrap_or(0);
        let one = |(at, name): (usize, &String)| {
            let (passed, failed) = (count(&self.grader_passed, at), count(&self.grader_failed, at));
            let sum = self.grader_scores.get(at).copied().unwrap_or(0.0);
            #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 items")]
            let mean_score = (passed + failed > 0).then(|| sum / (passed + failed) as f64);
            let errored = count(&self.grader_errored, at);
            CriterionResult { testing_criteria: name.clone(), passed, failed, errored, mean_score }
        };
        self.graders.iter().enumerate().map(one).collect()
    }
}

/// The answer to a deletion, as OpenAI's SDKs read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct DeletedRun {
    object: &'static str,
    deleted: bool,
    run_id: RunId,
}

impl DeletedRun {
    pub(super) const fn new(run_id: RunId) -> Self {
        Self { object: "eval.run.deleted", deleted: true, run_id }
    }
}
