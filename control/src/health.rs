//! `/healthz`: the process answers. `/readyz`: it can serve, for its database is there and migrated.

use crate::{
    app::App,
    error::{Answer, Error},
    store,
};
use alphagate_contract::problem::{Code, Problem};
use axum::{Json, extract::State};
use serde::Serialize;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(healthz, readyz))]
pub(crate) struct Docs;

/// The answer.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    status: &'static str,
}

/// The process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    responses((status = 200, body = Health)),
)]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// It can serve: its database is there and migrated.
#[utoipa::path(
    get,
    path = "/readyz",
    responses((status = 200, body = Health), (status = 503, description = "store_unavailable")),
)]
pub(crate) async fn readyz(State(app): State<App>) -> Answer<Json<Health>> {
    for pool in [app.tenants().pool(), app.system()] {
        if let Err(error) = store::check_migrated(pool).await {
            tracing::warn!(%error, "not ready");
            let retry_ms = 1_000;
            return Err(Error::from(Problem::new(Code::StoreUnavailable).retry_after_ms(retry_ms)));
        }
    }
    Ok(Json(Health { status: "ready" }))
}
