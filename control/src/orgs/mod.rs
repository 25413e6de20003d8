//! Orgs: the tenants, as the operator makes and suspends them.
//!
//! An org's record holds whether it is suspended and every quota that its object checks: the org's own, and those that
//! its endpoints' terms set for each install.

mod change;
mod create;
mod of_user;
mod read;

pub(crate) use change::change;
pub(crate) use create::create;
pub(crate) use of_user::{create_for, create_own, list_own, rename};
pub(crate) use read::{get, list, own};

use crate::{endpoints, error::Error, outbox::records, quotas};
use alphagate_contract::{
    id::OrgId,
    problem::Code,
    quota::QUOTAS_MAX,
    record::{OrgRecord, RecordKey, RecordValue},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    create::create,
    read::list,
    read::get,
    change::change,
    read::own,
    of_user::list_own,
    of_user::create_own,
    of_user::rename
))]
pub(crate) struct Docs;

/// An org as the operator and its own admins read it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Org {
    id: OrgId,
    name: String,
    suspended: bool,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    suspended: bool,
    created_at: DateTime<Utc>,
}

impl From<Row> for Org {
    fn from(row: Row) -> Self {
        Self {
            id: OrgId::from_uuid(row.id),
            name: row.name,
            suspended: row.suspended,
            created_at: row.created_at,
        }
    }
}

/// The org, if this login may see it.
async fn find(db: &mut PgConnection, org: OrgId) -> Result<Option<Org>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("SELECT id, name, suspended, created_at FROM orgs WHERE id = $1")
        .bind(org.uuid())
        .fetch_optional(db)
        .await?;
    Ok(row.map(Org::from))
}

/// The same, with its row held until the transaction ends.
async fn find_locked(db: &mut PgConnection, org: OrgId) -> Result<Option<Org>, sqlx::Error> {
    sqlx::query("SELECT FROM orgs WHERE id = $1 FOR NO KEY UPDATE")
        .bind(org.uuid())
        .execute(&mut *db)
        .await?;
    find(db, org).await
}

/// The name of an org.
pub(crate) async fn name_of(db: &mut PgConnection, org: OrgId) -> Result<String, Error> {
    Ok(find(db, org).await?.ok_or(Code::NotFound)?.name)
}

/// Whether an org is suspended.
pub(crate) async fn is_suspended(system: &mut PgConnection, org: OrgId) -> Result<bool, sqlx::Error> {
    Ok(find(system, org).await?.is_some_and(|org| org.suspended))
}

/// Writes the org's record anew, from what is true under its lock.
pub(crate) async fn write_record(db: &mut PgConnection, org: OrgId) -> Result<(), Error> {
    let slot = records::lock(db, org, RecordKey::Org(org)).await?;
    let suspended = is_suspended(db, org).await?;
    let mut all = quotas::list(db, org).await?;
    all.extend(endpoints::install_quotas(db, org).await?);
    if all.len() > QUOTAS_MAX {
        let message =
            format!("an org has at most {QUOTAS_MAX} quotas, with the limits of its endpoints' installs");
        return Err(Error::field("quotas", message));
    }
    slot.put(db, &RecordValue::Org(OrgRecord { suspended, quotas: all })).await
}

/// Refuses an org that is not there.
pub(crate) async fn must_exist(system: &mut PgConnection, org: OrgId) -> Result<(), Error> {
    find(system, org).await?.map(drop).ok_or_else(|| Code::NotFound.into())
}
