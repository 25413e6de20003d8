//! Notices of updates: a pinned install whose endpoint has a newer version live says so.
//!
//! Read by the system role, in the view that shows no more than that: a tenant sees no endpoints of others.

use super::Install;
use crate::{app::App, error::Error};
use alphagate_contract::id::OrgId;
use std::collections::HashMap;
use uuid::Uuid;

/// Adds the notices to installs of an org.
pub(super) async fn add(app: &App, org: OrgId, installs: &mut [Install]) -> Result<(), Error> {
    let pinned: Vec<Uuid> =
        installs.iter().filter(|found| found.version.is_some()).map(|found| found.id.uuid()).collect();
    if pinned.is_empty() {
        return Ok(());
    }
    let rows: Vec<(Uuid, i32)> =
        sqlx::query_as("SELECT id, live_version FROM install_updates WHERE org_id = $1 AND id = ANY($2)")
            .bind(org.uuid())
            .bind(pinned)
            .fetch_all(app.system())
            .await?;
    let live: HashMap<Uuid, i32> = rows.into_iter().collect();
    for install in installs {
        let newer = live.get(&install.id.uuid()).copied().map(u32::try_from);
        install.update_available = newer.transpose().map_err(Error::internal)?;
    }
    Ok(())
}

/// The installs of an org that have a notice, newest first.
pub(super) async fn ids(app: &App, org: OrgId, after: Option<Uuid>, rows: i64) -> Result<Vec<Uuid>, Error> {
    let rows: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT id FROM install_updates WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3",
    )
    .bind(org.uuid())
    .bind(after)
    .bind(rows)
    .fetch_all(app.system())
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
