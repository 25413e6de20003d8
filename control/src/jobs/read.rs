//! `GET /v1/jobs` and `GET /v1/jobs/{id}`: newest first, with what a job was told, what it did, and every attempt.
//!
//! A list's query names only the filters that are asked for: each combination finds an index of its own, or compares the
//! entries of the index `jobs_searched`.

use super::view::{Artefact, Attempt, AttemptRow, Job, Row, State, columns};
use crate::{
    app::App,
    body::word,
    error::{Answer, Error},
    pagination::{List, Page},
    params::{Id, Query},
    principal::Evaluator,
};
use alphagate_contract::{
    id::{JobId, OrgId, RunId},
    job::{Language, Outcome},
    problem::{Code, Problem},
};
use axum::{Json, extract};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use std::collections::HashMap;
use uuid::Uuid;

/// By how much an id's time may differ from the database's: hosts' clocks are never off by that.
const CLOCKS_APART: &str = "interval '1 hour'";
/// Longest text to search for.
const SEARCH_MAX_LEN: usize = 200;

/// Who a job belongs to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobOwnerKind)]
enum OwnerKind {
    Caller,
    Sample,
    Grade,
    GraderRun,
}

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsQuery {
    state: Option<State>,
    outcome: Option<Outcome>,
    language: Option<Language>,
    label: Option<String>,
    #[param(inline)]
    owner: Option<OwnerKind>,
    run: Option<RunId>,
    /// Made then or later.
    from: Option<DateTime<Utc>>,
    /// Made before.
    to: Option<DateTime<Utc>>,
    /// A part of the name, whatever its case; or an id.
    search: Option<String>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    cursor: Option<String>,
}

impl JobsQuery {
    /// The list that these filters make: a cursor is for one of them.
    fn name(&self) -> String {
        let words = [
            self.state.map(word),
            self.outcome.map(word),
            self.language.map(word),
            self.label.clone(),
            self.owner.map(word),
            self.run.map(|run| run.to_string()),
            self.from.map(|at| at.to_rfc3339()),
            self.to.map(|at| at.to_rfc3339()),
            self.search.clone(),
        ];
        format!("jobs {words:?}")
    }

    fn check(&self) -> Result<(), Error> {
        if self.search.as_ref().is_some_and(|text| text.chars().count() > SEARCH_MAX_LEN) {
            let message = format!("`search` has at most {SEARCH_MAX_LEN} characters.");
            return Err(Problem::new(Code::ParameterInvalid).param("search").message(message).into());
        }
        Ok(())
    }

    /// Whether no index is ordered by what is asked for: then entries of an index are compared, and no rows.
    const fn compares(&self) -> bool {
        self.language.is_some() || self.label.is_some() || self.owner.is_some() || self.search.is_some()
    }

    fn sql(&self, org: OrgId, after: Option<Uuid>, rows: i64) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new(concat!("SELECT ", columns!(), " FROM jobs WHERE org_id = "));
        sql.push_bind(org.uuid());
        if self.compares() {
            sql.push(" AND id = ANY(ARRAY(SELECT id FROM jobs WHERE org_id = ").push_bind(org.uuid());
            self.page(&mut sql, after, rows);
            sql.push(")) ORDER BY id DESC");
        } else {
            self.page(&mut sql, after, rows);
        }
        sql
    }

    /// The filters, the order and the end.
    fn page(&self, sql: &mut QueryBuilder<Postgres>, after: Option<Uuid>, rows: i64) {
        if let Some(state) = self.state {
            sql.push(" AND state = ").push_bind(word(state));
        }
        if let Some(outcome) = self.outcome {
            sql.push(" AND outcome = ").push_bind(word(outcome));
        }
        if let Some(language) = self.language {
            sql.push(" AND language = ").push_bind(language.as_str());
        }
        if let Some(label) = &self.label {
            sql.push(" AND ").push_bind(label.clone()).push(" = ANY(labels)");
        }
        if let Some(owner) = self.owner {
            sql.push(" AND owner = ").push_bind(word(owner));
        }
        if let Some(run) = self.run {
            sql.push(" AND owner_run = ").push_bind(run.uuid());
        }
        if let Some(from) = self.from {
            // Ids begin with their time: that is what the index can use.
            sql.push(" AND created_at >= ").push_bind(from);
            sql.push(" AND id >= uuid_floor(").push_bind(from).push(format!(" - {CLOCKS_APART})"));
        }
        if let Some(to) = self.to {
            sql.push(" AND created_at < ").push_bind(to);
            sql.push(" AND id < uuid_floor(").push_bind(to).push(format!(" + {CLOCKS_APART})"));
        }
        match &self.search {
            Some(text) if text.parse::<JobId>().is_ok() => {
                sql.push(" AND id = ").push_bind(text.parse::<JobId>().ok().map(JobId::uuid));
            }
            Some(text) => {
                sql.push(" AND position(lower(").push_bind(text.clone()).push(") IN lower(name)) > 0");
            }
            None => {}
        }
        if let Some(after) = after {
            sql.push(" AND id < ").push_bind(after);
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(rows);
    }
}

/// Lists jobs, newest first.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    params(JobsQuery),
    responses((status = 200, body = Page<Job>)),
)]
pub(crate) async fn list(
    evaluator: Evaluator,
    extract::State(app): extract::State<App>,
    Query(query): Query<JobsQuery>,
) -> Answer<Json<Page<Job>>> {
    query.check()?;
    let name = query.name();
    let list = List { org: Some(evaluator.org), name: &name };
    let wanted = list.wanted::<Uuid>(&app, query.limit.as_deref(), query.cursor.as_deref())?;
    let mut tx = app.tenants().begin(evaluator.org).await?;
    let rows: Vec<Row> =
        query.sql(evaluator.org, wanted.after, wanted.rows).build_query_as().fetch_all(&mut *tx).await?;
    let jobs = with_attempts(&mut tx, evaluator.org, rows).await?;
    Ok(Json(list.answer(&app, wanted.size(), jobs, |job: &Job| job.id.uuid())?))
}

/// Reads a job with every attempt.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    params(("id" = JobId, Path)),
    responses((status = 200, body = Job)),
)]
pub(crate) async fn get(
    evaluator: Evaluator,
    extract::State(app): extract::State<App>,
    Id(job): Id<JobId>,
) -> Answer<Json<Job>> {
    let mut tx = app.tenants().begin(evaluator.org).await?;
    Ok(Json(find(&mut tx, evaluator.org, job).await?))
}

/// The job, if the org has it.
pub(super) async fn find(db: &mut PgConnection, org: OrgId, job: JobId) -> Answer<Job> {
    find_all(db, org, &[job]).await?.pop().ok_or_else(|| Code::NotFound.into())
}

/// Those of these jobs that the org has, in this order.
pub(super) async fn find_all(db: &mut PgConnection, org: OrgId, ids: &[JobId]) -> Answer<Vec<Job>> {
    let rows: Vec<Row> =
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM jobs WHERE org_id = $1 AND id = ANY($2)"))
            .bind(org.uuid())
            .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .fetch_all(&mut *db)
            .await?;
    let jobs = with_attempts(db, org, rows).await?;
    let mut by_id: HashMap<JobId, Job> = jobs.into_iter().map(|job| (job.id, job)).collect();
    Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
}

async fn with_attempts(db: &mut PgConnection, org: OrgId, rows: Vec<Row>) -> Answer<Vec<Job>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let attempts: Vec<AttemptRow> = sqlx::query_as(
        "SELECT job_id, id, number, runner_id, claimed_at, started_at, ended_at, ending FROM job_attempts
         WHERE org_id = $1 AND job_id = ANY($2) ORDER BY job_id, number",
    )
    .bind(org.uuid())
    .bind(&ids)
    .fetch_all(&mut *db)
    .await?;
    let artefacts: Vec<(Uuid, String, i64)> = sqlx::query_as(
        "SELECT job_id, path, bytes FROM job_artefacts WHERE org_id = $1 AND job_id = ANY($2) ORDER BY job_id, path",
    )
    .bind(org.uuid())
    .bind(&ids)
    .fetch_all(db)
    .await?;
    let mut of_job: HashMap<Uuid, (Vec<Attempt>, Vec<Artefact>)> = HashMap::new();
    for attempt in attempts {
        of_job.entry(attempt.job_id).or_default().0.push(attempt.into());
    }
    for (job, path, bytes) in artefacts {
        of_job.entry(job).or_default().1.push(Artefact { path, bytes });
    }
    let job = |row: Row| {
        let (attempts, artefacts) = of_job.remove(&row.id).unwrap_or_default();
        row.job(attempts, artefacts)
    };
    rows.into_iter().map(job).collect()
}
