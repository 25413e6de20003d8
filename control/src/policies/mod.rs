//! Policies: what an org's versions demand of requests and answers, in revisions that never change.
//!
//! A version is created under the revisions that it refers to, and goes by them for ever: a new revision holds from the next
//! version on. While a version that can be served refers to a policy, the policy cannot be deleted.

mod create;
mod delete;
mod presets;
mod read;
mod references;
mod revise;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use presets::presets;
pub(crate) use read::{get, get_revision, list, list_revisions};
pub(crate) use references::{Reference, of_version, refer, release, resolve, written};
pub(crate) use revise::revise;

use crate::{
    app::App,
    credentials::{self, Destination},
    error::Error,
};
use alphagate_contract::{
    id::{OrgId, PolicyId},
    policy::{Policy, PolicyName},
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
    presets::presets,
    read::get,
    delete::delete,
    revise::revise,
    read::list_revisions,
    read::get_revision
))]
pub(crate) struct Docs;

/// A policy as its org reads it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PolicyEntry)]
pub(crate) struct Entry {
    id: PolicyId,
    name: PolicyName,
    description: String,
    /// The newest revision.
    revision: u32,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    /// What the newest revision says; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
}

/// A revision of a policy.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PolicyRevision)]
pub(crate) struct Revision {
    revision: u32,
    /// The preset that it was made from.
    preset: Option<String>,
    created_at: DateTime<Utc>,
    policy: Policy,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    description: String,
    newest: i32,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    document: Option<String>,
}

#[derive(sqlx::FromRow)]
struct RevisionRow {
    number: i32,
    preset: Option<String>,
    created_at: DateTime<Utc>,
    document: String,
}

impl TryFrom<Row> for Entry {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let policy = row.document.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            id: PolicyId::from_uuid(row.id),
            name: row.name.parse().map_err(Error::internal)?,
            description: row.description,
            revision: u32::try_from(row.newest).map_err(Error::internal)?,
            created_at: row.created_at,
            changed_at: row.changed_at,
            policy: policy.map_err(Error::internal)?,
        })
    }
}

impl TryFrom<RevisionRow> for Revision {
    type Error = Error;

    fn try_from(row: RevisionRow) -> Result<Self, Error> {
        Ok(Self {
            revision: u32::try_from(row.number).map_err(Error::internal)?,
            preset: row.preset,
            created_at: row.created_at,
            policy: serde_json::from_str(&row.document).map_err(Error::internal)?,
        })
    }
}

/// Checks what a document says by itself; gives the origins of its moderations.
fn check(app: &App, policy: &Policy) -> Result<Vec<String>, Error> {
    policy.check().map_err(|error| Error::field(format!("policy.{}", error.param), error.message))?;
    credentials::origins_of(app, &destinations(policy))
}

/// Where texts are sent to be looked at.
fn destinations(policy: &Policy) -> Vec<Destination<'_>> {
    let destination = |(at, moderation)| Destination::of_moderation("policy.", at, moderation);
    policy.moderation.iter().enumerate().map(destination).collect()
}

/// Checks what a document refers to.
async fn check_credentials(
    db: &mut PgConnection,
    org: OrgId,
    policy: &Policy,
    origins: &[String],
) -> Result<(), Error> {
    credentials::check_destinations(db, org, &destinations(policy), origins).await
}

/// Adds a revision.
async fn insert_revision(
    db: &mut PgConnection,
    org: OrgId,
    id: PolicyId,
    number: i32,
    policy: &Policy,
    preset: Option<&str>,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO policy_revisions (org_id, policy_id, number, document, preset)
         VALUES ($1, $2, $3, $4::text::json, $5)",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(number)
    .bind(serde_json::to_string(policy).map_err(Error::internal)?)
    .bind(preset)
    .execute(db)
    .await?;
    Ok(())
}
