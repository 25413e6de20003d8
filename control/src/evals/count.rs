//! The counts of a run: what ended items add to it, and the run's end with the last of them.
//!
//! Called in the transaction that changes the items, after them: the run's row is the last lock but those of its end.

use super::{
    RunStatus,
    grade::{GradeResult, ItemEnd},
    sample::Usage,
};
use crate::{app::App, body::word, error::Error, events, keys, publications};
use alphagate_contract::id::{OrgId, PublicationId, RunId};
use sqlx::PgConnection;
use uuid::Uuid;

/// What is added to a run at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Delta {
    started: i64,
    passed: i64,
    failed: i64,
    errored: i64,
    infrastructure: i64,
    grader_passed: Vec<i64>,
    grader_failed: Vec<i64>,
    grader_errored: Vec<i64>,
    grader_scores: Vec<f64>,
}

/// A run after something was added to it.
#[derive(Debug, sqlx::FromRow)]
struct Now {
    total: i64,
    started: i64,
    scored: i64,
    errored: i64,
    publication_id: Option<Uuid>,
}

impl Delta {
    pub(super) fn new(graders: usize) -> Self {
        Self {
            grader_passed: vec![0; graders],
            grader_failed: vec![0; graders],
            grader_errored: vec![0; graders],
            grader_scores: vec![0.0; graders],
            ..Self::default()
        }
    }

    /// An item has begun.
    pub(super) const fn start(&mut self) {
        self.started += 1;
    }

    /// An item has ended, with these results.
    pub(super) fn end(&mut self, end: ItemEnd, results: &[GradeResult]) {
        match end {
            ItemEnd::Pass => self.passed += 1,
            ItemEnd::Fail => self.failed += 1,
            ItemEnd::Error { infrastructure } => {
                self.errored += 1;
                self.infrastructure += i64::from(infrastructure);
            }
        }
        for (at, result) in results.iter().enumerate() {
            let counts = match (&result.error, result.passed) {
                (Some(_), _) => &mut self.grader_errored,
                (None, true) => &mut self.grader_passed,
                (None, false) => &mut self.grader_failed,
            };
            if let Some(count) = counts.get_mut(at) {
                *count += 1;
            }
            if let (None, Some(sum)) = (&result.error, self.grader_scores.get_mut(at)) {
                *sum += result.score;
            }
        }
    }

    /// Adds it to a run that has not ended; whether there is one. With its last item the run ends.
    pub(super) async fn apply(
        &self,
        app: &App,
        db: &mut PgConnection,
        org: OrgId,
        run: RunId,
    ) -> Result<bool, Error> {
        let now: Option<Now> = sqlx::query_as(
            "UPDATE eval_runs SET
                status = 'in_progress', started_at = coalesce(started_at, now()),
                started = started + $3, passed = passed + $4, failed = failed + $5, errored = errored + $6,
                infrastructure = infrastructure + $7,
                grader_passed = ARRAY(SELECT a + b FROM unnest(grader_passed, $8) AS t (a, b)),
                grader_failed = ARRAY(SELECT a + b FROM unnest(grader_failed, $9) AS t (a, b)),
                grader_errored = ARRAY(SELECT a + b FROM unnest(grader_errored, $10) AS t (a, b)),
                grader_scores = ARRAY(SELECT a + b FROM unnest(grader_scores, $11) AS t (a, b))
             WHERE org_id = $1 AND id = $2 AND status IN ('queued', 'in_progress')
             RETURNING total, started, passed + failed AS scored, errored, publication_id",
        )
        .bind(org.uuid())
        .bind(run.uuid())
        .bind(self.started)
        .bind(self.passed)
        .bind(self.failed)
        .bind(self.errored)
        .bind(self.infrastructure)
        .bind(&self.grader_passed)
        .bind(&self.grader_failed)
        .bind(&self.grader_errored)
        .bind(&self.grader_scores)
        .fetch_optional(&mut *db)
        .await?;
        let Some(now) = now else { return Ok(false) };
        if now.scored + now.errored == now.total {
            let status = if now.scored > 0 { RunStatus::Completed } else { RunStatus::Failed };
            let publication = now.publication_id.map(PublicationId::from_uuid);
            end(app, db, org, run, status).await?;
            if let Some(publication) = publication {
                publications::run_ended(app, db, org, publication).await?;
            }
        }
        // The driver has room for more when the window is half empty; who watches the run wants to know in any case.
        let under_way = now.started - now.scored - now.errored;
        if now.started == now.total || under_way * 2 <= super::feed::WINDOW {
            events::notify(db, events::Notice::Run(run)).await?;
        }
        Ok(true)
    }
}

/// Ends a run that has not ended; whether there was one. The key that it asked with is closed.
pub(super) async fn end(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    status: RunStatus,
) -> Result<bool, Error> {
    let error = (status == RunStatus::Failed).then_some(
        r#"{"code":"nothing_scored","message":"No item could be scored: see the errors of the output items."}"#,
    );
    let ended = sqlx::query(
        "UPDATE eval_runs SET status = $3, error = $4::text::json, ended_at = now()
         WHERE org_id = $1 AND id = $2 AND status IN ('queued', 'in_progress')",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(word(status))
    .bind(error)
    .execute(&mut *db)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    keys::close_run_key(app, db, org, run).await?;
    Ok(true)
}

/// Adds what an answer used.
pub(super) async fn add_usage(
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    model: &str,
    usage: Usage,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO eval_run_usage AS used (org_id, run_id, model, invocation_count, prompt_tokens, completion_tokens,
            cached_tokens, total_tokens)
         VALUES ($1, $2, $3, 1, $4, $5, $6, $7)
         ON CONFLICT (org_id, run_id, model) DO UPDATE SET invocation_count = used.invocation_count + 1,
            prompt_tokens = used.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = used.completion_tokens + excluded.completion_tokens,
            cached_tokens = used.cached_tokens + excluded.cached_tokens,
            total_tokens = used.total_tokens + excluded.total_tokens",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(model)
    .bind(usage.prompt_tokens)
    .bind(usage.completion_tokens)
    .bind(usage.cached_tokens)
    .bind(usage.total_tokens)
    .execute(db)
    .await?;
    Ok(())
}
