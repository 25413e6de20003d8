//! `GET /operator/v1/vault`: what is under which key, and so which key may go.

use crate::{
    app::App,
    credentials::{self, Standing},
    error::Answer,
    keys,
    principal::Operator,
};
use axum::{Json, extract::State};
use serde::Serialize;

/// How much is under one key.
#[derive(Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = VaultUnder)]
pub(crate) struct Under {
    /// The key's id; none: made before this was noted.
    pub(crate) key: Option<String>,
    /// How many.
    pub(crate) count: i64,
}

/// What is under which key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Vault)]
pub(crate) struct View {
    /// The master key that wraps.
    master_key: String,
    /// Data keys by the master key that wraps them.
    wrapped_by: Vec<Under>,
    /// Master keys that wrap something and are not configured: their data keys cannot be used.
    missing: Vec<String>,
    /// Credentials by the edge's key that they are sealed to.
    sealed_to: Vec<Under>,
    /// API keys that work, by the ring entry that signed them.
    signed_by: Vec<Under>,
    credentials: Standing,
}

/// Says what is under which key: a key that nothing is under may be taken away.
#[utoipa::path(get, path = "/operator/v1/vault", responses((status = 200, body = View)))]
pub(crate) async fn state(_: Operator, State(app): State<App>) -> Answer<Json<View>> {
    let masters = &app.vault().masters;
    let mut system = app.system().acquire().await?;
    let wrapped_by: Vec<Under> = sqlx::query_as(
        "SELECT master_key AS key, count(*) AS count FROM data_keys GROUP BY master_key ORDER BY master_key",
    )
    .fetch_all(&mut *system)
    .await?;
    let missing = wrapped_by.iter().filter_map(|under| under.key.clone());
    let missing = missing.filter(|name| !masters.knows(name)).collect();
    Ok(Json(View {
        master_key: masters.current().to_owned(),
        missing,
        wrapped_by,
        sealed_to: credentials::sealed_to(&mut system).await?,
        signed_by: keys::signed_by(&mut system).await?,
        credentials: credentials::standing(&app, &mut system).await?,
    }))
}
