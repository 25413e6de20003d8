//! `GET /v1/evals/{id}/runs/{run}/output_items` and `GET …/output_items/{item}`.

use crate::{
    app::App,
    error::{Answer, Error},
    evals::{sample, stop},
    openai_page::{Asked, Order, Page},
    params::{Ids, Query},
    principal::Evaluator,
};
use alphagate_contract::{
    id::{EvalId, OutputItemId, RunId},
    problem::Code,
};
use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

/// An output item as OpenAI's SDKs read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct OutputItem {
    id: OutputItemId,
    object: &'static str,
    created_at: i64,
    run_id: RunId,
    eval_id: EvalId,
    status: String,
    datasource_item_id: i64,
    #[schema(value_type = Object)]
    datasource_item: Box<RawValue>,
    #[schema(value_type = Vec<Object>)]
    results: Vec<Box<RawValue>>,
    #[schema(value_type = Option<Object>)]
    sample: Option<Value>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    number: i64,
    item: String,
    sample: Option<String>,
    results: Vec<Option<String>>,
    status: Option<String>,
    created_at: DateTime<Utc>,
}

/// The columns of [`Row`].
macro_rules! columns {
    () => {
        "SELECT id, number, item::text AS item, sample::text AS sample, results::text[] AS results, status, created_at
         FROM output_items WHERE org_id = $1 AND run_id = $2"
    };
}

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ItemsQuery {
    after: Option<String>,
    #[param(value_type = Option<i64>, example = 20)]
    limit: Option<String>,
    #[param(inline)]
    order: Option<Order>,
    #[param(inline)]
    status: Option<Status>,
}

/// How an item ended.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = OutputItemStatus)]
enum Status {
    Pass,
    /// The API's reference spells it both ways.
    #[serde(alias = "failed")]
    Fail,
    /// Ours: without a verdict.
    Error,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

impl Row {
    fn item(self, eval_id: EvalId, run_id: RunId) -> Result<OutputItem, Error> {
        let raw = |text: String| RawValue::from_string(text).map_err(Error::internal);
        let sample =
            self.sample.map(|text| serde_json::from_str(&text)).transpose().map_err(Error::internal)?;
        Ok(OutputItem {
            id: OutputItemId::from_uuid(self.id),
            object: "eval.run.output_item",
            created_at: self.created_at.timestamp(),
            run_id,
            eval_id,
            status: self.status.unwrap_or_else(|| "in_progress".to_owned()),
            datasource_item_id: self.number,
            datasource_item: raw(self.item)?,
            results: self.results.into_iter().flatten().map(raw).collect::<Result<_, _>>()?,
            sample: sample.map(sample::shown),
        })
    }
}

/// Reads an output item.
#[utoipa::path(
    get,
    operation_id = "get_item",
    path = "/v1/evals/{id}/runs/{run}/output_items/{item}",
    params(("id" = EvalId, Path), ("run" = RunId, Path), ("item" = OutputItemId, Path)),
    responses((status = 200, body = OutputItem)),
)]
pub(crate) async fn get(
    caller: Evaluator,
    State(app): State<App>,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Answer<Json<OutputItem>> {
    let Path((eval, run, item)) = path.map_err(|_| Code::NotFound)?;
    let (Ok(eval), Ok(run), Ok(item)) = (eval.parse(), run.parse(), item.parse::<OutputItemId>()) else {
        return Err(Code::NotFound.into());
    };
    let mut tx = app.tenants().begin(caller.org).await?;
    stop::must_exist(&mut tx, caller.org, eval, run).await?;
    let row: Option<Row> = sqlx::query_as(concat!(columns!(), " AND id = $3"))
        .bind(caller.org.uuid())
        .bind(run.uuid())
        .bind(item.uuid())
        .fetch_optional(&mut *tx)
        .await?;
    row.ok_or(Code::NotFound)?.item(eval, run).map(Json)
}

/// A list that starts after the place of an item.
macro_rules! list {
    ($sign:literal, $order:literal) => {
        concat!(
            columns!(),
            " AND ($3::uuid IS NULL OR number ",
            $sign,
            " (SELECT number FROM output_items WHERE org_id = $1 AND run_id = $2 AND id = $3))
              AND ($4::text IS NULL OR status = $4) ORDER BY number ",
            $order,
            " LIMIT $5"
        )
    };
}

/// Lists the output items of a run.
#[utoipa::path(
    get,
    operation_id = "list_items",
    path = "/v1/evals/{id}/runs/{run}/output_items",
    params(("id" = EvalId, Path), ("run" = RunId, Path), ItemsQuery),
    responses((status = 200, body = Page<OutputItem>)),
)]
pub(crate) async fn list(
    caller: Evaluator,
    State(app): State<App>,
    Ids(eval, run): Ids<EvalId, RunId>,
    Query(query): Query<ItemsQuery>,
) -> Answer<Json<Page<OutputItem>>> {
    let asked: Asked<OutputItemId> = Asked::read(query.after.as_deref(), query.limit.as_deref())?;
    let sql = match query.order.unwrap_or(Order::Asc) {
        Order::Asc => list!(">", "ASC"),
        Order::Desc => list!("<", "DESC"),
    };
    let mut tx = app.tenants().begin(caller.org).await?;
    stop::must_exist(&mut tx, caller.org, eval, run).await?;
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(caller.org.uuid())
        .bind(run.uuid())
        .bind(asked.after.map(OutputItemId::uuid))
        .bind(query.status.map(Status::as_str))
        .bind(asked.rows())
        .fetch_all(&mut *tx)
        .await?;
    let items = rows.into_iter().map(|row| row.item(eval, run)).collect::<Result<_, Error>>()?;
    Ok(Json(asked.page(items, |item: &OutputItem| item.id)))
}
