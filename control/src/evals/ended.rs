//! What a job's end means for its output item: the sample is kept, graders begin, results come in, the item is counted.
//!
//! Runs in the transaction that ends the job, under the item's lock. Each step holds only in the state that it starts
//! from, so an end that comes twice, late, or after the run was stopped changes nothing.

use super::{
    count::{self, Delta},
    eval::Definition,
    feed,
    grade::{self, GradeResult, ItemEnd},
    question,
    sample::{self, Fault, Usage},
    source,
};
use crate::{
    app::App,
    body::from_word,
    error::Error,
    jobs::{Ended, Owner, Priority},
};
use alphagate_contract::id::{OrgId, OutputItemId, RunId};
use serde_json::Value;
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// An item with its lock.
#[derive(sqlx::FromRow)]
struct Row {
    state: String,
    item: String,
    results: Vec<Option<String>>,
    status: String,
    publication_id: Option<Uuid>,
    data_source: String,
    config: String,
    criteria: String,
}

/// Takes what a job of an output item came to, in the transaction that ends the job. Late and repeated ends change nothing.
pub(crate) async fn job_ended(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    ended: &Ended,
) -> Result<(), Error> {
    let (run, item, grader) = match ended.owner {
        Owner::Caller | Owner::GraderRun => return Ok(()),
        Owner::Sample { run, item } => (run, item, None),
        Owner::Grade { run, item, grader } => (run, item, Some(grader)),
    };
    let Some(row) = lock(db, org, run, item).await? else { return Ok(()) };
    let status: super::RunStatus = from_word(&row.status)?;
    if status.is_over() {
        return Ok(());
    }
    let definition = Definition::stored(&row.config, &row.criteria)?;
    let step = Step { app, org, run, item, definition: Arc::new(definition) };
    match (grader, row.state.as_str()) {
        (None, "sampling") => step.sampled(db, &row, ended).await,
        (Some(grader), "grading") => step.graded(db, &row, usize::from(grader), ended).await,
        _ => Ok(()),
    }
}

async fn lock(
    db: &mut PgConnection,
    org: OrgId,
    run: RunId,
    item: OutputItemId,
) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT state, item::text AS item, results::text[] AS results, eval_runs.status, publication_id,
            data_source::text AS data_source, data_source_config::text AS config, testing_criteria::text AS criteria
         FROM output_items
         JOIN eval_runs ON eval_runs.org_id = output_items.org_id AND eval_runs.id = run_id
         JOIN evals ON evals.org_id = eval_runs.org_id AND evals.id = eval_id
         WHERE output_items.org_id = $1 AND run_id = $2 AND output_items.id = $3
         FOR UPDATE OF output_items",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .bind(item.uuid())
    .fetch_optional(db)
    .await
}

/// One item, and what it belongs to.
struct Step<'a> {
    app: &'a App,
    org: OrgId,
    run: RunId,
    item: OutputItemId,
    definition: Arc<Definition>,
}

impl Step<'_> {
    /// The endpoint under test has answered, or will not.
    async fn sampled(&self, db: &mut PgConnection, row: &Row, ended: &Ended) -> Result<(), Error> {
        let data = source::data_source(&row.data_source, None)?;
        let ask = data.ask.ok_or_else(|| Error::internal("a sample of a run that does not sample"))?;
        let item: Value = serde_json::from_str(&row.item).map_err(Error::internal)?;
        let input = question::input(&ask, &item).unwrap_or_default();
        let answer = match sample::answer(ended.outcome, ended.report.as_ref()) {
            Ok(answer) => answer,
            Err(fault) => {
                let sample = sample::of_fault(&ask, &input, &fault);
                return self.fault(db, &sample, &fault).await;
            }
        };
        count::add_usage(db, self.org, self.run, &ask.model, Usage::of(&answer)).await?;
        let sample = sample::of_answer(&ask, &input, &answer);
        let text = sample.to_string();
        let definition = self.definition.clone();
        // Measures of likeness take their time on long texts.
        let begin = move || feed::begin_graders(&definition, &item, &sample);
        let begun = tokio::task::spawn_blocking(begin).await.map_err(Error::internal)?;
        let (results, works) = feed::sort(begun, self.run, self.item)?;
        if works.is_empty() {
            return self.end(db, Some(&text), &results.into_iter().flatten().collect::<Vec<_>>()).await;
        }
        sqlx::query(
            "UPDATE output_items SET state = 'grading', sample = $3::text::json, results = $4::text[]::json[], missing = $5
             WHERE org_id = $1 AND id = $2",
        )
        .bind(self.org.uuid())
        .bind(self.item.uuid())
        .bind(&text)
        .bind(feed::texts(&results)?)
        .bind(i32::try_from(works.len()).map_err(Error::internal)?)
        .execute(&mut *db)
        .await?;
        let priority = if row.publication_id.is_some() { Priority::High } else { Priority::Normal };
        feed::enqueue(self.app, db, self.org, priority, works).await
    }

    /// A grader has come to a result.
    async fn graded(
        &self,
        db: &mut PgConnection,
        row: &Row,
        place: usize,
        ended: &Ended,
    ) -> Result<(), Error> {
        let mut results = row.results.clone();
        let (Some(slot), Some(grader)) = (results.get_mut(place), self.definition.criteria.get(place)) else {
            return Err(Error::internal("a grade of a grader that the eval lacks"));
        };
        if slot.is_some() {
            return Ok(());
        }
        let (result, usage) = grade::finish(grader, ended);
        if let Some((model, usage)) = usage {
            count::add_usage(db, self.org, self.run, &model, usage).await?;
        }
        *slot = Some(serde_json::to_string(&result).map_err(Error::internal)?);
        let read = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| GradeResult::unreadable());
        let there: Vec<GradeResult> = results.iter().flatten().map(read).collect();
        if there.len() == results.len() {
            return self.end(db, None, &there).await;
        }
        sqlx::query(
            "UPDATE output_items SET results = $3::text[]::json[], missing = missing - 1 WHERE org_id = $1 AND id = $2",
        )
        .bind(self.org.uuid())
        .bind(self.item.uuid())
        .bind(results)
        .execute(db)
        .await?;
        Ok(())
    }

    /// The item could not be sampled.
    async fn fault(&self, db: &mut PgConnection, sample: &Value, fault: &Fault) -> Result<(), Error> {
        let end = ItemEnd::Error { infrastructure: !fault.user_fault };
        self.close(db, end, Some(&sample.to_string()), None).await?;
        self.count(db, end, &[]).await
    }

    /// Every grader has come to a result.
    async fn end(
        &self,
        db: &mut PgConnection,
        sample: Option<&str>,
        results: &[GradeResult],
    ) -> Result<(), Error> {
        let end = ItemEnd::of(results);
        let texts = feed::texts(&results.iter().cloned().map(Some).collect::<Vec<_>>())?;
        self.close(db, end, sample, Some(texts)).await?;
        self.count(db, end, results).await
    }

    async fn close(
        &self,
        db: &mut PgConnection,
        end: ItemEnd,
        sample: Option<&str>,
        results: Option<Vec<Option<String>>>,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE output_items SET state = 'done', status = $3, ended_at = now(), missing = 0,
                sample = coalesce($4::text::json, sample), results = coalesce($5::text[]::json[], results)
             WHERE org_id = $1 AND id = $2",
        )
        .bind(self.org.uuid())
        .bind(self.item.uuid())
        .bind(end.as_str())
        .bind(sample)
        .bind(results)
        .execute(db)
        .await?;
        Ok(())
    }

    async fn count(&self, db: &mut PgConnection, end: ItemEnd, results: &[GradeResult]) -> Result<(), Error> {
        let mut delta = Delta::new(self.definition.criteria.len());
        delta.end(end, results);
        // Whoever stops the run stops its jobs first, and so waits for this transaction: the run is still under way.
        delta.apply(self.app, db, self.org, self.run).await.map(drop)
    }
}
