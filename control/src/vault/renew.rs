//! `POST /operator/v1/vault/renew`, and the same by itself now and then: what is under an older key comes under the newest.
//!
//! Data keys are wrapped by the current master key, credentials are encrypted with their org's newest data key and sealed to
//! the edge's current key, and data keys that nothing is under are destroyed. Each in a transaction of its own: stopped
//! anywhere it goes on where it was, done twice it changes nothing.

use super::data_keys;
use crate::{
    app::App,
    audit::{self, Note},
    body::Body,
    credentials,
    error::{Answer, Error},
    principal::Operator,
    roles::Action,
};
use alphagate_contract::id::OrgId;
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// Most of each kind in one call, and in one round of housekeeping.
pub(crate) const BATCH_MAX: u32 = 500;

/// The request.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VaultRenewal)]
pub(crate) struct Renewal {
    /// Most of each kind in this call.
    #[serde(default = "batch_max")]
    #[schema(minimum = 1, maximum = 500)]
    limit: u32,
}

const fn batch_max() -> u32 {
    BATCH_MAX
}

/// How far one kind is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = VaultProgress)]
pub(crate) struct Progress {
    /// Renewed now.
    pub(crate) done: u32,
    /// Could not be renewed; the log says why.
    pub(crate) failed: u32,
    /// Still under an older key, those that failed included.
    pub(crate) left: i64,
}

/// The answer: ask again until nothing is left.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[schema(as = VaultRenewed)]
pub(crate) struct Renewed {
    /// Data keys, by the master key that wraps them.
    pub(crate) data_keys: Progress,
    /// Credentials, by data key and by the edge's key.
    pub(crate) credentials: Progress,
    /// Data keys that were destroyed, because nothing was under them any more.
    pub(crate) destroyed: u32,
}

/// Brings a batch of what is under an older key under the newest. Ask again until nothing is left.
#[utoipa::path(
    post,
    path = "/operator/v1/vault/renew",
    request_body(content = Renewal, example = json!({"limit": 100})),
    responses((status = 200, body = Renewed)),
)]
pub(crate) async fn renew(
    operator: Operator,
    State(app): State<App>,
    body: Body<Renewal>,
) -> Answer<Json<Renewed>> {
    if !(1..=BATCH_MAX).contains(&body.value.limit) {
        return Err(Error::field("limit", format!("must be 1 to {BATCH_MAX}")));
    }
    let renewed = renew_all(&app, body.value.limit).await?;
    let mut tx = app.system().begin().await?;
    let what = ("operator.vault.write", "renew", "vault");
    audit::record(&app, &mut tx, Note::by_operator(&operator, None, what, "vault").after(&renewed)).await?;
    tx.commit().await?;
    Ok(Json(renewed))
}

/// Renews at most so many of each kind.
pub(crate) async fn renew_all(app: &App, limit: u32) -> Result<Renewed, Error> {
    let data_keys = rewrap(app, limit).await?;
    let mut credentials = credentials::renew_outdated(app, limit).await?;
    let destroyed = finish_rotations(app, limit, &mut credentials).await?;
    Ok(Renewed { data_keys, credentials, destroyed })
}

async fn rewrap(app: &App, limit: u32) -> Result<Progress, Error> {
    let mut progress = Progress::default();
    let mut after = (Uuid::nil(), 0);
    while progress.done < limit && progress.failed < limit {
        let page: Vec<(Uuid, i32)> = sqlx::query_as(
            "SELECT org_id, number FROM data_keys WHERE master_key <> $1 AND (org_id, number) > ($2, $3)
             ORDER BY org_id, number LIMIT $4",
        )
        .bind(app.vault().masters.current())
        .bind(after.0)
        .bind(after.1)
        .bind(i64::from(limit - progress.done))
        .fetch_all(app.system())
        .await?;
        let Some(last) = page.last() else { break };
        after = *last;
        for (org, number) in page {
            let org = OrgId::from_uuid(org);
            match rewrap_one(app, org, number).await {
                Ok(()) => progress.done += 1,
                Err(error) => {
                    progress.failed += 1;
                    tracing::error!(%error, %org, number, "a data key cannot be wrapped anew");
                }
            }
        }
    }
    let (left,): (i64,) = sqlx::query_as("SELECT count(*) FROM data_keys WHERE master_key <> $1")
        .bind(app.vault().masters.current())
        .fetch_one(app.system())
        .await?;
    Ok(Progress { left, ..progress })
}

async fn rewrap_one(app: &App, org: OrgId, number: i32) -> Result<(), Error> {
    let mut tx = app.tenants().begin(org).await?;
    if let Some(before) = data_keys::rewrap(app, &mut tx, org, number).await? {
        let note = Note::by_system(org, Action::CredentialsWrite, "wrap anew", "data_key", number)
            .before(&json!({"master_key": before}))
            .after(&json!({"master_key": app.vault().masters.current()}));
        audit::record(app, &mut tx, note).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// For orgs with more than one data key: moves what is under an older one, and destroys it when nothing is.
async fn finish_rotations(app: &App, limit: u32, progress: &mut Progress) -> Result<u32, Error> {
    let orgs: Vec<(Uuid, i32)> = sqlx::query_as(
        "SELECT org_id, max(number) FROM data_keys GROUP BY org_id HAVING count(*) > 1 ORDER BY org_id LIMIT $1",
    )
    .bind(i64::from(limit))
    .fetch_all(app.system())
    .await?;
    let mut destroyed = 0;
    for (org, newest) in orgs {
        let org = OrgId::from_uuid(org);
        let moved = credentials::renew_of_org(app, org, newest, limit).await?;
        progress.done += moved.done;
        progress.failed += moved.failed;
        progress.left += moved.left;
        match destroy_unused(app, org, newest).await {
            Ok(numbers) => destroyed += u32::try_from(numbers.len()).unwrap_or(u32::MAX),
            // Something was encrypted with it at this very moment: it is moved in the next round.
            Err(error) => tracing::warn!(%error, %org, "an older data key is still in use"),
        }
    }
    Ok(destroyed)
}

/// Destroys the org's data keys that nothing is under; gives their numbers.
pub(super) async fn destroy_unused(app: &App, org: OrgId, newest: i32) -> Result<Vec<i32>, Error> {
    let mut tx = app.tenants().begin(org).await?;
    let oldest_used = credentials::oldest_data_key(&mut tx, org).await?;
    let below = oldest_used.map_or(newest, |used| used.min(newest));
    let numbers = data_keys::destroy_below(&mut tx, org, below).await?;
    for number in &numbers {
        let note = Note::by_system(org, Action::CredentialsWrite, "destroy", "data_key", number);
        audit::record(app, &mut tx, note).await?;
    }
    tx.commit().await?;
    Ok(numbers)
}
