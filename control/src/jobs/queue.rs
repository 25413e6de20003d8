//! `GET /v1/queue`: how deep an org's queue is, and how fast it moves; the operator reads the same of all orgs.
//!
//! Counted on indexes that hold nothing but what is counted.

use super::Priority;
use crate::{
    app::App,
    body::from_word,
    error::Answer,
    principal::{Evaluator, Operator},
    runners::{self, Hosts},
};
use alphagate_contract::id::OrgId;
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// The state of a queue.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Queue {
    queued: i64,
    starting: i64,
    running: i64,
    priorities: Vec<OfPriority>,
    labels: Vec<OfLabel>,
    runners: Hosts,
    throughput: Throughput,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = QueueOfPriority)]
struct OfPriority {
    priority: Priority,
    depth: i64,
    oldest_at: Option<DateTime<Utc>>,
    oldest_age_ms: i64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = QueueOfLabel)]
struct OfLabel {
    label: String,
    depth: i64,
    oldest_at: Option<DateTime<Utc>>,
    oldest_age_ms: i64,
}

/// Jobs that ended.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Throughput {
    last_minute: i64,
    last_hour: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    part: String,
    name: String,
    depth: i64,
    oldest_at: Option<DateTime<Utc>>,
    oldest_age_ms: i64,
}

/// One row for each figure. `$1` is the org; none means all of them.
macro_rules! figures {
    ($mine:literal) => {
        concat!(
            "WITH queued AS MATERIALIZED (
                SELECT priority, labels, created_at FROM jobs WHERE state = 'queued' AND ", $mine, "
             ), figures AS (
                SELECT 'priority' AS part, priority AS name, count(*) AS depth, min(created_at) AS oldest_at
                FROM queued GROUP BY priority
                UNION ALL
                SELECT 'label', label, count(*), min(created_at) FROM queued, unnest(labels) AS label GROUP BY label
                UNION ALL
                SELECT 'state', state, count(*), NULL FROM jobs
                WHERE state IN ('starting', 'running') AND ", $mine, " GROUP BY state
                UNION ALL
                SELECT 'ended', 'minute', count(*), NULL FROM jobs
                WHERE ended_at > now() - interval '1 minute' AND ", $mine, "
                UNION ALL
                SELECT 'ended', 'hour', count(*), NULL FROM jobs
                WHERE ended_at > now() - interval '1 hour' AND ", $mine, "
             )
             SELECT part, name, depth, oldest_at,
                coalesce(extract(epoch FROM now() - oldest_at) * 1000, 0)::bigint AS oldest_age_ms
             FROM figures ORDER BY part, name"
        )
    };
}

/// Tells how deep the org's queue is, and how fast it moves.
#[utoipa::path(
    get,
    operation_id = "queue",
    path = "/v1/queue",
    responses((status = 200, body = Queue)),
)]
pub(crate) async fn own(evaluator: Evaluator, State(app): State<App>) -> Answer<Json<Queue>> {
    let mut tx = app.tenants().begin(evaluator.org).await?;
    let rows = of_org(&mut tx, evaluator.org).await?;
    drop(tx);
    Ok(Json(queue(&app, rows).await?))
}

async fn of_org(db: &mut PgConnection, org: OrgId) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as(figures!("org_id = $1")).bind(org.uuid()).fetch_all(db).await
}

/// Tells the same of all orgs together.
#[utoipa::path(
    get,
    operation_id = "queue_of_all",
    path = "/operator/v1/queue",
    responses((status = 200, body = Queue)),
)]
pub(crate) async fn all(_: Operator, State(app): State<App>) -> Answer<Json<Queue>> {
    let rows: Vec<Row> =
        sqlx::query_as(figures!("$1::uuid IS NULL")).bind(None::<Uuid>).fetch_all(app.system()).await?;
    Ok(Json(queue(&app, rows).await?))
}

async fn queue(app: &App, rows: Vec<Row>) -> Answer<Queue> {
    let figure = |part: &str, name: &str| {
        rows.iter().find(|row| row.part == part && row.name == name).map_or(0, |row| row.depth)
    };
    let mut priorities = Vec::new();
    for row in rows.iter().filter(|row| row.part == "priority") {
        priorities.push(OfPriority {
            priority: from_word(&row.name)?,
            depth: row.depth,
            oldest_at: row.oldest_at,
            oldest_age_ms: row.oldest_age_ms,
        });
    }
    priorities.sort_by_key(|row| row.priority);
    let of_label = |row: &Row| OfLabel {
        label: row.name.clone(),
        depth: row.depth,
        oldest_at: row.oldest_at,
        oldest_age_ms: row.oldest_age_ms,
    };
    Ok(Queue {
        queued: priorities.iter().map(|row| row.depth).sum(),
        starting: figure("state", "starting"),
        running: figure("state", "running"),
        labels: rows.iter().filter(|row| row.part == "label").map(of_label).collect(),
        priorities,
        runners: runners::hosts(app).await?,
        throughput: Throughput { last_minute: figure("ended", "minute"), last_hour: figure("ended", "hour") },
    })
}
