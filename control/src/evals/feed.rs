//! One step of the driver: the next lines of a run become output items and begin, as many as its window has room for.
//!
//! All of it is one transaction under the lock of the run's feed: a replica that dies leaves nothing half-begun, and
//! another goes on from the line where this one was.

use super::{
    count::Delta,
    eval::Definition,
    grade::{self, Begun, GradeResult, ItemEnd},
    question,
    sample::{self, Fault},
    source::{self, DataSource},
};
use crate::{
    app::App,
    body::from_word,
    error::Error,
    files,
    graders::QUESTION_WALL_MS,
    jobs::{self, NewJob, Owner, Priority, Work},
};
use alphagate_contract::{
    id::{FileId, OrgId, OutputItemId, RunId},
    job::SampleSpec,
};
use serde_json::Value;
use sqlx::PgConnection;
use std::sync::Arc;
use uuid::Uuid;

/// Most items of a run under way at once: enough for hundreds of slots, and a run of 10,000 does not flood the queue.
pub(super) const WINDOW: i64 = 500;
/// Most items of one step: its transaction takes tens of milliseconds, and other runs get their turn.
const STEP_ITEMS: i64 = 50;

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stepped {
    /// There may be more to do at once.
    Again,
    /// Nothing to do until items end.
    Idle,
}

/// A run as the driver needs it.
#[derive(sqlx::FromRow)]
struct Row {
    file_id: Uuid,
    next_line: i64,
    status: String,
    publication_id: Option<Uuid>,
    total: i64,
    started: i64,
    ended: i64,
    data_source: String,
    config: String,
    criteria: String,
}

/// What the items of a run have in common.
struct Plan {
    data: DataSource,
    definition: Definition,
}

/// An item that is to begin.
struct Prepared {
    item: String,
    sample: Option<String>,
    next: Next,
}

enum Next {
    /// Ask the endpoint under test.
    Ask(Value),
    /// Grade: these results are there or need a job.
    Grade(Vec<Begun>),
    /// Nothing: it cannot be asked.
    Fault(Fault),
}

/// Takes a step of a run, unless another replica is at it.
pub(super) async fn step(app: &App, org: OrgId, run: RunId) -> Result<Stepped, Error> {
    let mut tx = app.tenants().begin(org).await?;
    let Some(row) = lock(&mut tx, org, run).await? else { return Ok(Stepped::Idle) };
    let status: super::RunStatus = from_word(&row.status)?;
    if status.is_over() {
        forget(&mut tx, org, run).await?;
        tx.commit().await?;
        return Ok(Stepped::Idle);
    }
    let room = (WINDOW - (row.started - row.ended)).min(STEP_ITEMS).min(row.total - row.started);
    if room <= 0 {
        return Ok(Stepped::Idle);
    }
    let file = FileId::from_uuid(row.file_id);
    let lines = files::lines(&mut tx, org, file, row.next_line, usize::try_from(room).unwrap_or(0)).await?;
    if lines.is_empty() {
        return Err(Error::internal(format!("{run} has fewer lines than it should")));
    }
    let plan = Plan {
        data: source::data_source(&row.data_source, None)?,
        definition: Definition::stored(&row.config, &row.criteria)?,
    };
    let priority = if row.publication_id.is_some() { Priority::High } else { Priority::Normal };
    let begun = begin(app, &mut tx, Place { org, run, first: row.next_line, priority }, plan, lines).await?;
    if !begun {
        // Canceled meanwhile: what this transaction began is rolled back with it.
        return Ok(Stepped::Again);
    }
    tx.commit().await?;
    Ok(Stepped::Again)
}

async fn lock(db: &mut PgConnection, org: OrgId, run: RunId) -> Result<Option<Row>, sqlx::Error> {
    sqlx::query_as(
        "SELECT eval_run_feeds.file_id, next_line, status, publication_id, total, started,
            passed + failed + errored AS ended, data_source::text AS data_source,
            data_source_config::text AS config, testing_criteria::text AS criteria
         FROM eval_run_feeds
         JOIN eval_runs ON eval_runs.org_id = eval_run_feeds.org_id AND eval_runs.id = run_id
         JOIN evals ON evals.org_id = eval_runs.org_id AND evals.id = eval_id
         WHERE eval_run_feeds.org_id = $1 AND run_id = $2
         FOR UPDATE OF eval_run_feeds SKIP LOCKED",
    )
    .bind(org.uuid())
    .bind(run.uuid())
    .fetch_optional(db)
    .await
}

/// The driver has nothing more to do for a run.
pub(super) async fn forget(db: &mut PgConnection, org: OrgId, run: RunId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM eval_run_feeds WHERE org_id = $1 AND run_id = $2")
        .bind(org.uuid())
        .bind(run.uuid())
        .execute(db)
        .await
        .map(drop)
}

/// Where the items of a step belong.
#[derive(Clone, Copy)]
struct Place {
    org: OrgId,
    run: RunId,
    first: i64,
    priority: Priority,
}

async fn begin(
    app: &App,
    db: &mut PgConnection,
    place: Place,
    plan: Plan,
    lines: Vec<Vec<u8>>,
) -> Result<bool, Error> {
    let graders = plan.definition.criteria.len();
    let plan = Arc::new(plan);
    // Measures of likeness take their time on long texts.
    let prepare = move || lines.iter().map(|line| prepare(&plan, line)).collect::<Vec<_>>();
    let prepared = tokio::task::spawn_blocking(prepare).await.map_err(Error::internal)?;
    let mut delta = Delta::new(graders);
    let mut number = place.first;
    for item in prepared {
        delta.start();
        write(app, db, place, number, item, graders, &mut delta).await?;
        number += 1;
    }
    sqlx::query("UPDATE eval_run_feeds SET next_line = $3 WHERE org_id = $1 AND run_id = $2")
        .bind(place.org.uuid())
        .bind(place.run.uuid())
        .bind(number)
        .execute(&mut *db)
        .await?;
    delta.apply(app, db, place.org, place.run).await
}

fn prepare(plan: &Plan, line: &[u8]) -> Prepared {
    let fault = |item: String, why: String| Prepared {
        item,
        sample: None,
        next: Next::Fault(Fault::ours("data_unreadable", why)),
    };
    let line = match files::read_line(line) {
        Ok(line) => line,
        Err(why) => return fault("{}".to_owned(), why),
    };
    let text = line.item.get().to_owned();
    let item: Value = match serde_json::from_str(&text) {
        Ok(item) => item,
        Err(error) => return fault(text, error.to_string()),
    };
    if let Some(ask) = &plan.data.ask {
        return match question::input(ask, &item) {
            Ok(input) => Prepared {
                item: text,
                sample: None,
                next: Next::Ask(ask.sampling.request(&ask.model, input)),
            },
            Err(why) => {
                let fault = Fault::users("invalid_variable_error", why);
                let sample = sample::of_fault(ask, &[], &fault).to_string();
                Prepared { item: text, sample: Some(sample), next: Next::Fault(fault) }
            }
        };
    }
    let sample = line.sample.map(|sample| sample.get().to_owned());
    let seen = sample.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    let begun = begin_graders(&plan.definition, &item, &seen);
    Prepared { item: text, sample, next: Next::Grade(begun) }
}

/// Begins every grader of an item.
pub(super) fn begin_graders(definition: &Definition, item: &Value, sample: &Value) -> Vec<Begun> {
    let seen = sample::for_graders(sample);
    definition.criteria.iter().map(|grader| grade::begin(grader, item, &seen)).collect()
}

async fn write(
    app: &App,
    db: &mut PgConnection,
    place: Place,
    number: i64,
    prepared: Prepared,
    graders: usize,
    delta: &mut Delta,
) -> Result<(), Error> {
    let id = app.new_id(OutputItemId::new);
    let (state, end, results, works) = match prepared.next {
        Next::Ask(body) => {
            let spec = SampleSpec { path: "/v1/responses".to_owned(), body, wall_ms: QUESTION_WALL_MS };
            let owner = Owner::Sample { run: place.run, item: id };
            ("sampling", None, vec![None; graders], vec![(owner, Work::Sample(spec))])
        }
        Next::Fault(fault) => {
            let end = ItemEnd::Error { infrastructure: !fault.user_fault };
            delta.end(end, &[]);
            ("done", Some(end), vec![None; graders], Vec::new())
        }
        Next::Grade(begun) => {
            let (results, works) = sort(begun, place.run, id)?;
            let end =
                works.is_empty().then(|| ItemEnd::of(&results.iter().flatten().cloned().collect::<Vec<_>>()));
            if let Some(end) = end {
                delta.end(end, &results.iter().flatten().cloned().collect::<Vec<_>>());
            }
            (if end.is_some() { "done" } else { "grading" }, end, results, works)
        }
    };
    sqlx::query(
        "INSERT INTO output_items (org_id, id, run_id, number, item, sample, results, missing, state, status, ended_at)
         VALUES ($1, $2, $3, $4, $5::text::json, $6::text::json, $7::text[]::json[], $8, $9, $10,
            CASE WHEN $10 IS NULL THEN NULL ELSE now() END)",
    )
    .bind(place.org.uuid())
    .bind(id.uuid())
    .bind(place.run.uuid())
    .bind(number)
    .bind(prepared.item)
    .bind(prepared.sample)
    .bind(texts(&results)?)
    .bind(i32::try_from(results.iter().filter(|result| result.is_none()).count()).map_err(Error::internal)?)
    .bind(state)
    .bind(end.map(ItemEnd::as_str))
    .execute(&mut *db)
    .await?;
    enqueue(app, db, place.org, place.priority, works).await
}

/// Results that are there, by grader, and jobs for those that are not.
type Sorted = (Vec<Option<GradeResult>>, Vec<(Owner, Work)>);

pub(super) fn sort(begun: Vec<Begun>, run: RunId, item: OutputItemId) -> Result<Sorted, Error> {
    let (mut results, mut works) = (Vec::new(), Vec::new());
    for (at, begun) in begun.into_iter().enumerate() {
        match begun {
            Begun::Result(result) => results.push(Some(*result)),
            Begun::Job(work) => {
                let grader = u16::try_from(at).map_err(Error::internal)?;
                works.push((Owner::Grade { run, item, grader }, work));
                results.push(None);
            }
        }
    }
    Ok((results, works))
}

/// Results as the database takes them.
pub(super) fn texts(results: &[Option<GradeResult>]) -> Result<Vec<Option<String>>, Error> {
    let text = |result: &Option<GradeResult>| result.as_ref().map(serde_json::to_string).transpose();
    results.iter().map(text).collect::<Result<_, _>>().map_err(Error::internal)
}

pub(super) async fn enqueue(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    priority: Priority,
    works: Vec<(Owner, Work)>,
) -> Result<(), Error> {
    for (owner, work) in works {
        let new = NewJob { work, priority, labels: Vec::new(), owner, run_at: None, retries: 0 };
        jobs::enqueue(app, db, org, new).await?;
    }
    Ok(())
}
