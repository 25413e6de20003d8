//! `GET /v1/evals/{id}/runs` and `GET /v1/evals/{id}/runs/{run}`.

use crate::{
    app::App,
    body::word,
    error::{Answer, Error},
    evals::{
        RunStatus, eval,
        run::{self, Row, Run, select},
    },
    openai_page::{Asked, Order, Page},
    params::{Id, Ids, Query},
    principal::Evaluator,
};
use alphagate_contract::{
    id::{EvalId, OrgId, RunId},
    problem::Code,
};
use axum::{Json, extract::State};
use serde::Deserialize;
use sqlx::PgConnection;

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunsQuery {
    after: Option<String>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    #[param(inline)]
    order: Option<Order>,
    status: Option<RunStatus>,
}

pub(super) async fn find(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    eval: EvalId,
    id: RunId,
) -> Result<Run, Error> {
    let row: Option<Row> = sqlx::query_as(concat!(select!(), " AND eval_runs.id = $3"))
        .bind(org.uuid())
        .bind(eval.uuid())
        .bind(id.uuid())
        .fetch_optional(&mut *db)
        .await?;
    let rows = vec![row.ok_or(Code::NotFound)?];
    let mut runs = run::runs(app, db, org, rows).await?;
    runs.pop().ok_or_else(|| Code::NotFound.into())
}

/// Reads a run.
#[utoipa::path(
    get,
    path = "/v1/evals/{id}/runs/{run}",
    params(("id" = EvalId, Path), ("run" = RunId, Path)),
    responses((status = 200, body = Run)),
)]
pub(crate) async fn get(
    caller: Evaluator,
    State(app): State<App>,
    Ids(eval, id): Ids<EvalId, RunId>,
) -> Answer<Json<Run>> {
    let mut tx = app.tenants().begin(caller.org).await?;
    find(&app, &mut tx, caller.org, eval, id).await.map(Json)
}

/// Lists the runs of an eval.
#[utoipa::path(
    get,
    path = "/v1/evals/{id}/runs",
    params(("id" = EvalId, Path), RunsQuery),
    responses((status = 200, body = Page<Run>)),
)]
pub(crate) async fn list(
    caller: Evaluator,
    State(app): State<App>,
    Id(eval): Id<EvalId>,
    Query(query): Query<RunsQuery>,
) -> Answer<Json<Page<Run>>> {
    let asked: Asked<RunId> = Asked::read(query.after.as_deref(), query.limit.as_deref())?;
    let sql = match query.order.unwrap_or(Order::Asc) {
        Order::Asc => concat!(
            select!(),
            " AND ($3::uuid IS NULL OR eval_runs.id > $3) AND ($4::text IS NULL OR status = $4)
              ORDER BY eval_runs.id LIMIT $5"
        ),
        Order::Desc => concat!(
            select!(),
            " AND ($3::uuid IS NULL OR eval_runs.id < $3) AND ($4::text IS NULL OR status = $4)
              ORDER BY eval_runs.id DESC LIMIT $5"
        ),
    };
    let mut tx = app.tenants().begin(caller.org).await?;
    eval::must_exist(&mut tx, caller.org, eval).await?;
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(caller.org.uuid())
        .bind(eval.uuid())
        .bind(asked.after.map(RunId::uuid))
        .bind(query.status.map(word))
        .bind(asked.rows())
        .fetch_all(&mut *tx)
        .await?;
    let runs = run::runs(&app, &mut tx, caller.org, rows).await?;
    Ok(Json(asked.page(runs, |run: &Run| run.id)))
}
