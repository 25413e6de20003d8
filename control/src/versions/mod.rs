//! Versions: immutable configurations of an endpoint, numbered without gaps.
//!
//! A version is a draft until it is published for the first time; others can pin only what was once live.

mod create;
mod diff;
mod read;

pub(crate) use create::{add, create};
pub(crate) use diff::diff;
pub(crate) use read::{VersionNumber, config, get, list, numbers};

use crate::{
    error::Error,
    policies::{self, Reference},
};
use alphagate_contract::{
    endpoint::VersionConfig,
    id::{EndpointId, OrgId},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(create::create, read::list, read::get, diff::diff))]
pub(crate) struct Docs;

/// A version as its publisher reads it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Version {
    endpoint: EndpointId,
    pub(crate) version: u32,
    created_at: DateTime<Utc>,
    /// Since when it can be pinned by others; none: a draft.
    first_live_at: Option<DateTime<Utc>>,
    /// Not in lists: it may be long.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<VersionConfig>,
    /// What it comes to under its policies, where that is something else: what the edge goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<VersionConfig>,
    /// The policies that it was made under, and their newest revisions; not in lists, and none once the endpoint is withdrawn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<Reference>,
}

#[derive(sqlx::FromRow)]
struct Row {
    number: i32,
    created_at: DateTime<Utc>,
    first_live_at: Option<DateTime<Utc>>,
    config: Option<String>,
    resolved: Option<String>,
}

impl Row {
    fn version(self, endpoint: EndpointId, policies: Vec<Reference>) -> Result<Version, Error> {
        let config = |text: Option<String>| {
            text.map(|text| serde_json::from_str(&text)).transpose().map_err(Error::internal)
        };
        Ok(Version {
            endpoint,
            version: u32::try_from(self.number).map_err(Error::internal)?,
            created_at: self.created_at,
            first_live_at: self.first_live_at,
            config: config(self.config)?,
            resolved: config(self.resolved)?,
            policies,
        })
    }
}

/// Marks a version of a locked endpoint as published; whether there is such a version.
pub(crate) async fn mark_live(
    db: &mut PgConnection,
    org: OrgId,
    endpoint: EndpointId,
    number: u32,
) -> Result<bool, Error> {
    let Ok(number) = i32::try_from(number) else { return Ok(false) };
    let marked = sqlx::query(
        "UPDATE versions SET first_live_at = coalesce(first_live_at, now())
         WHERE org_id = $1 AND endpoint_id = $2 AND number = $3",
    )
    .bind(org.uuid())
    .bind(endpoint.uuid())
    .bind(number)
    .execute(db)
    .await?;
    Ok(marked.rows_affected() == 1)
}

/// The origins that a version sends credentials to; none if there is no such version, or it was never live.
pub(crate) async fn origins_once_live(
    system: &mut PgConnection,
    publisher: OrgId,
    endpoint: EndpointId,
    number: u32,
) -> Result<Option<Vec<String>>, Error> {
    let Ok(number) = i32::try_from(number) else { return Ok(None) };
    let row: Option<(Vec<String>,)> = sqlx::query_as(
        "SELECT origins FROM versions
         WHERE org_id = $1 AND endpoint_id = $2 AND number = $3 AND first_live_at IS NOT NULL",
    )
    .bind(publisher.uuid())
    .bind(endpoint.uuid())
    .bind(number)
    .fetch_optional(system)
    .await?;
    Ok(row.map(|(origins,)| origins))
}

/// Lets go of the credentials and policies that a withdrawn endpoint's versions used.
pub(crate) async fn release(db: &mut PgConnection, org: OrgId, endpoint: EndpointId) -> Result<(), Error> {
    sqlx::query("DELETE FROM version_credentials WHERE org_id = $1 AND endpoint_id = $2")
        .bind(org.uuid())
        .bind(endpoint.uuid())
        .execute(&mut *db)
        .await?;
    policies::release(db, org, endpoint).await
}
