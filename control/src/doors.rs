//! Doors for this crate's tests, to what no route reaches by itself: keys of runs, as evals open, use and close them, and
//! whom a request that the edge passes on is taken for.
//!
//! Each opens a transaction of its own, as the caller's would be.

use crate::{app::App, error::Error, keys, principal::Member, roles::Action, routes::Caller};
use alphagate_contract::{
    id::{OrgId, RunId},
    secret::Secret,
};
use axum::{extract::FromRequestParts as _, http::request::Parts};

/// Opens the key of a run.
///
/// # Errors
/// When a name cannot be one, or the database is away.
pub async fn open_run_key(app: &App, org: OrgId, run: RunId, only: &[&str]) -> anyhow::Result<()> {
    let mut tx = begin(app, org).await?;
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    keys::open_run_key(app, &mut tx, org, run, only).await.map_err(told)?;
    Ok(tx.commit().await?)
}

/// The key of a run, as a claim gets it: with the system's role.
///
/// # Errors
/// When the key is not open, or the database is away.
pub async fn run_key(app: &App, org: OrgId, run: RunId) -> anyhow::Result<Secret<String>> {
    let mut tx = app.system().begin().await?;
    let key = keys::run_key(app, &mut tx, org, run).await.map_err(told)?;
    tx.commit().await?;
    Ok(key)
}

/// Closes the key of a run.
///
/// # Errors
/// When the database is away.
pub async fn close_run_key(app: &App, org: OrgId, run: RunId) -> anyhow::Result<()> {
    let mut tx = begin(app, org).await?;
    keys::close_run_key(app, &mut tx, org, run).await.map_err(told)?;
    Ok(tx.commit().await?)
}

/// The org of the evaluator that a request is from.
///
/// # Errors
/// The refusal's code.
pub async fn evaluator(app: &App, mut parts: Parts) -> Result<OrgId, String> {
    parts.extensions.insert(Caller::Member(Action::EvalsRead));
    let evaluator = Member::from_request_parts(&mut parts, app).await;
    evaluator.map(|evaluator| evaluator.org).map_err(|error| error.to_string())
}

async fn begin(app: &App, org: OrgId) -> anyhow::Result<crate::tenant::TenantTx> {
    Ok(app.tenants().begin(org).await?)
}

fn told(error: Error) -> anyhow::Error {
    anyhow::Error::msg(error.to_string())
}
