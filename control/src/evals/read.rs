//! `GET /v1/evals` and `GET /v1/evals/{id}`.

use super::eval::{Eval, Row, columns};
use crate::{
    app::App,
    error::{Answer, Error},
    openai_page::{Asked, Order, Page},
    params::{Id, Query},
    principal::Evaluator,
};
use alphagate_contract::{id::EvalId, problem::Code};
use axum::{Json, extract::State};
use serde::Deserialize;

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EvalsQuery {
    after: Option<String>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    #[param(inline)]
    order: Option<Order>,
    #[param(inline)]
    order_by: Option<OrderBy>,
}

/// By which time a list is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EvalsOrderBy)]
enum OrderBy {
    #[default]
    CreatedAt,
    UpdatedAt,
}

/// Reads an eval.
#[utoipa::path(
    get,
    path = "/v1/evals/{id}",
    params(("id" = EvalId, Path)),
    responses((status = 200, body = Eval)),
)]
pub(crate) async fn get(caller: Evaluator, State(app): State<App>, Id(id): Id<EvalId>) -> Answer<Json<Eval>> {
    let mut tx = app.tenants().begin(caller.org).await?;
    let row: Option<Row> =
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM evals WHERE org_id = $1 AND id = $2"))
            .bind(caller.org.uuid())
            .bind(id.uuid())
            .fetch_optional(&mut *tx)
            .await?;
    Ok(Json(row.ok_or(Code::NotFound)?.try_into()?))
}

/// A list that starts after the place of an eval in an order.
macro_rules! list {
    ($place:literal, $sign:literal, $order:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM evals WHERE org_id = $1 AND ($2::uuid IS NULL OR (",
            $place,
            ") ",
            $sign,
            " (SELECT ",
            $place,
            " FROM evals WHERE org_id = $1 AND id = $2)) ORDER BY ",
            $order,
            " LIMIT $3"
        )
    };
}

/// Lists evals.
#[utoipa::path(
    get,
    path = "/v1/evals",
    params(EvalsQuery),
    responses((status = 200, body = Page<Eval>)),
)]
pub(crate) async fn list(
    caller: Evaluator,
    State(app): State<App>,
    Query(query): Query<EvalsQuery>,
) -> Answer<Json<Page<Eval>>> {
    let asked: Asked<EvalId> = Asked::read(query.after.as_deref(), query.limit.as_deref())?;
    let sql = match (query.order_by.unwrap_or_default(), query.order.unwrap_or(Order::Asc)) {
        (OrderBy::CreatedAt, Order::Asc) => list!("id", ">", "id"),
        (OrderBy::CreatedAt, Order::Desc) => list!("id", "<", "id DESC"),
        (OrderBy::UpdatedAt, Order::Asc) => list!("updated_at, id", ">", "updated_at, id"),
        (OrderBy::UpdatedAt, Order::Desc) => list!("updated_at, id", "<", "updated_at DESC, id DESC"),
    };
    let mut tx = app.tenants().begin(caller.org).await?;
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(caller.org.uuid())
        .bind(asked.after.map(EvalId::uuid))
        .bind(asked.rows())
        .fetch_all(&mut *tx)
        .await?;
    let evals = rows.into_iter().map(Eval::try_from).collect::<Result<_, Error>>()?;
    Ok(Json(asked.page(evals, |eval: &Eval| eval.id)))
}
