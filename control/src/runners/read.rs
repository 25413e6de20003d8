//! `GET /operator/v1/runners` and `POST /operator/v1/runners/{id}/drain`; and how many there are, for the queue's view.

use super::alive_ms;
use crate::{
    app::App,
    audit::{self, Note},
    error::Answer,
    events::{self, Notice},
    pagination::{List, Page, PageQuery},
    params::{Id, Query},
    principal::Operator,
};
use alphagate_contract::{
    id::{RunnerId, RunnerTokenId},
    problem::Code,
};
use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// Names the columns of [`Row`].
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, token_id, name, labels, images, sandbox_slots, sample_slots, version, engine, weak, registered_at, \
             seen_at, gone_at, drain, finished, gone_at IS NULL AND seen_at > now() - $1 * interval '1 millisecond' AS alive ",
            $rest
        )
    };
}

/// A runner as the operator reads it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Runner)]
pub(crate) struct RunnerView {
    id: RunnerId,
    token: RunnerTokenId,
    name: String,
    labels: Vec<String>,
    images: Vec<String>,
    slots: Slots,
    version: String,
    engine: String,
    weak: bool,
    registered_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    gone_at: Option<DateTime<Utc>>,
    /// Whether it was told to leave.
    drain: bool,
    /// Attempts that it has brought to their end.
    finished: i64,
    /// Whether it was heard of lately.
    alive: bool,
}

/// Jobs at once.
#[derive(Debug, Default, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = HostSlots)]
struct Slots {
    sandbox: i64,
    sample: i64,
}

/// The hosts that are alive.
#[derive(Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub(crate) struct Hosts {
    alive: i64,
    #[sqlx(flatten)]
    slots: Slots,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    token_id: Uuid,
    name: String,
    labels: Vec<String>,
    images: Vec<String>,
    sandbox_slots: i32,
    sample_slots: i32,
    version: String,
    engine: String,
    weak: bool,
    registered_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    gone_at: Option<DateTime<Utc>>,
    drain: bool,
    finished: i64,
    alive: bool,
}

impl From<Row> for RunnerView {
    fn from(row: Row) -> Self {
        Self {
            id: RunnerId::from_uuid(row.id),
            token: RunnerTokenId::from_uuid(row.token_id),
            name: row.name,
            labels: row.labels,
            images: row.images,
            slots: Slots { sandbox: row.sandbox_slots.into(), sample: row.sample_slots.into() },
            version: row.version,
            engine: row.engine,
            weak: row.weak,
            registered_at: row.registered_at,
            seen_at: row.seen_at,
            gone_at: row.gone_at,
            drain: row.drain,
            finished: row.finished,
            alive: row.alive,
        }
    }
}

/// Lists runners, newest first.
#[utoipa::path(
    get,
    path = "/operator/v1/runners",
    params(PageQuery),
    responses((status = 200, body = Page<RunnerView>)),
)]
pub(crate) async fn list(
    _: Operator,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
) -> Answer<Json<Page<RunnerView>>> {
    let list = List { org: None, name: "runners" };
    let wanted = list.page::<Uuid>(&app, &query)?;
    let rows: Vec<Row> = sqlx::query_as(select!("FROM runners WHERE id < $2 ORDER BY id DESC LIMIT $3"))
        .bind(alive_ms(&app))
        .bind(wanted.before())
        .bind(wanted.rows)
        .fetch_all(app.system())
        .await?;
    let runners = rows.into_iter().map(RunnerView::from).collect();
    Ok(Json(list.answer(&app, wanted.size(), runners, |runner: &RunnerView| runner.id.uuid())?))
}

/// Tells a runner to claim nothing more, and to leave when its last job is done. As often as one likes.
#[utoipa::path(
    post,
    path = "/operator/v1/runners/{id}/drain",
    params(("id" = RunnerId, Path)),
    responses((status = 200, body = RunnerView)),
)]
pub(crate) async fn drain(
    operator: Operator,
    State(app): State<App>,
    Id(runner): Id<RunnerId>,
) -> Answer<Json<RunnerView>> {
    let mut tx = app.system().begin().await?;
    sqlx::query("UPDATE runners SET drain = true WHERE id = $1")
        .bind(runner.uuid())
        .execute(&mut *tx)
        .await?;
    let found = find(&app, &mut tx, runner).await?.ok_or(Code::NotFound)?;
    events::notify(&mut tx, Notice::Runner(runner)).await?;
    let what = ("operator.runners.write", "drain", "runner");
    audit::record(&app, &mut tx, Note::by_operator(&operator, None, what, runner)).await?;
    tx.commit().await?;
    Ok(Json(found))
}

async fn find(app: &App, db: &mut PgConnection, runner: RunnerId) -> Result<Option<RunnerView>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(select!("FROM runners WHERE id = $2"))
        .bind(alive_ms(app))
        .bind(runner.uuid())
        .fetch_optional(db)
        .await?;
    Ok(row.map(RunnerView::from))
}

/// How many hosts are alive, and what they can take.
pub(crate) async fn hosts(app: &App) -> Result<Hosts, sqlx::Error> {
    sqlx::query_as(
        "SELECT count(*) AS alive, coalesce(sum(sandbox_slots), 0) AS sandbox, coalesce(sum(sample_slots), 0) AS sample
         FROM runners WHERE gone_at IS NULL AND seen_at > now() - $1 * interval '1 millisecond'",
    )
    .bind(alive_ms(app))
    .fetch_one(app.system())
    .await
}
