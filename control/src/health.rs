//! `/healthz`: the process answers. `/readyz`: it can serve, for its database is there and migrated.

use crate::{
    app::App,
    error::{Answer, Error},
    store,
};
use alphagate_contract::problem::{Code, Problem};
use axum::{Json, extract::State};
use serde_json::{Value, json};

pub(crate) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

pub(crate) async fn readyz(State(app): State<App>) -> Answer<Json<Value>> {
    for pool in [app.tenants().pool(), app.system()] {
        if let Err(error) = store::check_migrated(pool).await {
            tracing::warn!(%error, "not ready");
            let retry_ms = 1_000;
            return Err(Error::from(Problem::new(Code::StoreUnavailable).retry_after_ms(retry_ms)));
        }
    }
    Ok(Json(json!({"status": "ready"})))
}
