//! The names of an org: one namespace for its own endpoints and its installs.
//!
//! A name belongs to whoever inserts it first: the constraint `names_pkey` decides, and becomes 409.

use crate::error::Error;
use alphagate_contract::{id::OrgId, name::EndpointName};
use sqlx::PgConnection;

/// Takes a name.
pub(crate) async fn claim(db: &mut PgConnection, org: OrgId, name: &EndpointName) -> Result<(), Error> {
    sqlx::query("INSERT INTO names (org_id, name) VALUES ($1, $2)")
        .bind(org.uuid())
        .bind(name.as_str())
        .execute(db)
        .await?;
    Ok(())
}

/// Gives a name back.
pub(crate) async fn release(db: &mut PgConnection, org: OrgId, name: &EndpointName) -> Result<(), Error> {
    sqlx::query("DELETE FROM names WHERE org_id = $1 AND name = $2")
        .bind(org.uuid())
        .bind(name.as_str())
        .execute(db)
        .await?;
    Ok(())
}

/// Whether the org has an endpoint or an install of this name.
pub(crate) async fn exists(db: &mut PgConnection, org: OrgId, name: &str) -> Result<bool, Error> {
    let (found,): (bool,) =
        sqlx::query_as("SELECT EXISTS (SELECT FROM names WHERE org_id = $1 AND name = $2)")
            .bind(org.uuid())
            .bind(name)
            .fetch_one(db)
            .await?;
    Ok(found)
}
