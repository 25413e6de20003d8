//! Endpoints: a name that callers put into `model`, who may see it, and on which terms others may install it.
//!
//! The endpoint's row is the lock for everything about it: versions are numbered and the live pointer is moved under it.
//! Once a publisher has offered to pay, there is always a limit for each install: an install made under those terms can
//! never be without one.

mod change;
mod create;
mod delete;
mod fork;
mod offer;
mod read;
mod tags;
mod withdraw;

pub(crate) use change::change;
pub(crate) use create::{NewEndpoint, create, make};
pub(crate) use delete::delete;
pub(crate) use fork::fork;
pub(crate) use offer::{Offer, offer_of, offer_to_anyone};
pub(crate) use read::{find, get, list};
pub(crate) use tags::{Tags, is_tag};
pub(crate) use withdraw::withdraw;

use crate::{
    body::{from_word, word},
    error::Error,
    outbox::records,
};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    name::EndpointName,
    problem::Code,
    quota::{Action, Limit, Quota, Subject},
    record::{Canary, LiveRecord, RecordKey, RecordValue},
    usage::Payer,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use std::collections::HashSet;
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    create::create,
    read::list,
    read::get,
    change::change,
    withdraw::withdraw,
    delete::delete,
    fork::fork
))]
pub(crate) struct Docs;

/// Names the columns of [`Row`]: `SELECT *` would break when a migration adds one under a running program.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, description, tags, visibility, payer, limits, live_version, canary_version, canary_percent, ",
            "withdrawn_at, created_at ",
            $rest
        )
    };
}
use select;

/// Most limits in an endpoint's terms: every unit and window, once.
const LIMITS_MAX: usize = 20;

/// Who may install an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Visibility {
    /// Nobody else.
    Private,
    /// Every org, once it is live.
    Public,
}

/// The terms of an install.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InstallTerms)]
pub(crate) struct Terms {
    /// Who pays the provider.
    pub(crate) payer: Payer,
    /// What each install may use; counted by the publisher where the publisher pays.
    #[serde(default)]
    pub(crate) limits: Vec<Limit>,
}

impl Terms {
    /// Those of an endpoint where nobody says otherwise.
    pub(crate) const INSTALLER_PAYS: Self = Self { payer: Payer::Installer, limits: Vec::new() };

    fn check(&self) -> Result<(), Error> {
        if self.limits.len() > LIMITS_MAX {
            return Err(Error::field("installs.limits", format!("at most {LIMITS_MAX} limits")));
        }
        if self.payer == Payer::Publisher && self.limits.is_empty() {
            return Err(Error::field(
                "installs.limits",
                "at least one limit is needed where the publisher pays",
            ));
        }
        Ok(())
    }
}

/// An endpoint as its publisher reads it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Endpoint {
    pub(crate) id: EndpointId,
    pub(crate) name: EndpointName,
    description: String,
    tags: Tags,
    visibility: Visibility,
    installs: Terms,
    pub(crate) live: Option<u32>,
    /// The version that a part of the keys is served instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) canary: Option<Canary>,
    pub(crate) withdrawn_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    description: String,
    tags: Vec<String>,
    visibility: String,
    payer: String,
    limits: Json<Vec<Limit>>,
    live_version: Option<i32>,
    canary_version: Option<i32>,
    canary_percent: Option<i16>,
    withdrawn_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Endpoint {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let canary = match (row.canary_version, row.canary_percent) {
            (Some(version), Some(percent)) => Some(Canary {
                version: u32::try_from(version).map_err(Error::internal)?,
                percent: u8::try_from(percent).map_err(Error::internal)?,
            }),
            _ => None,
        };
        Ok(Self {
            id: EndpointId::from_uuid(row.id),
            canary,
            name: row.name.parse().map_err(Error::internal)?,
            description: row.description,
            tags: row.tags.try_into().map_err(Error::internal)?,
            visibility: from_word(&row.visibility)?,
            installs: Terms { payer: from_word(&row.payer)?, limits: row.limits.0 },
            live: row.live_version.map(u32::try_from).transpose().map_err(Error::internal)?,
            withdrawn_at: row.withdrawn_at,
            created_at: row.created_at,
        })
    }
}

impl Endpoint {
    /// Refuses what cannot be done to a withdrawn endpoint.
    pub(crate) fn not_withdrawn(self) -> Result<Self, Error> {
        match self.withdrawn_at {
            Some(_) => Err(Error::conflict("This endpoint is withdrawn, for good.")),
            None => Ok(self),
        }
    }
}

/// The endpoint, with its row locked until the transaction ends.
pub(crate) async fn lock(db: &mut PgConnection, org: OrgId, id: EndpointId) -> Result<Endpoint, Error> {
    let row: Option<Row> = sqlx::query_as(select!(
        "FROM endpoints WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL FOR NO KEY UPDATE"
    ))
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_optional(db)
    .await?;
    row.ok_or(Code::NotFound)?.try_into()
}

/// The same, unless somebody else has the lock.
pub(crate) async fn try_lock(
    db: &mut PgConnection,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<Endpoint>, Error> {
    let row: Option<Row> = sqlx::query_as(select!(
        "FROM endpoints WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL FOR NO KEY UPDATE SKIP LOCKED"
    ))
    .bind(org.uuid())
    .bind(id.uuid())
    .fetch_optional(db)
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// Refuses an endpoint that is not the org's own.
pub(crate) async fn must_exist(db: &mut PgConnection, org: OrgId, id: EndpointId) -> Result<(), Error> {
    find(db, org, id).await.map(drop)
}

/// Moves the live pointer of an endpoint that is locked, and ends its canary: what it was compared with is no longer live.
/// For `publications` only: the database refuses a move without one.
pub(crate) async fn set_live(
    db: &mut PgConnection,
    org: OrgId,
    id: EndpointId,
    version: u32,
) -> Result<(), Error> {
    let sql = "UPDATE endpoints SET live_version = $3, canary_version = NULL, canary_percent = NULL
         WHERE org_id = $1 AND id = $2";
    sqlx::query(sql)
        .bind(org.uuid())
        .bind(id.uuid())
        .bind(i32::try_from(version).map_err(Error::internal)?)
        .execute(&mut *db)
        .await?;
    write_live_record(db, org, id).await
}

/// Sets or ends the canary of an endpoint that is locked. For `publications` only: the database refuses to set one without.
pub(crate) async fn set_canary(
    db: &mut PgConnection,
    org: OrgId,
    id: EndpointId,
    canary: Option<Canary>,
) -> Result<(), Error> {
    let version = canary.map(|canary| i32::try_from(canary.version)).transpose().map_err(Error::internal)?;
    sqlx::query(
        "UPDATE endpoints SET canary_version = $3, canary_percent = $4 WHERE org_id = $1 AND id = $2",
    )
    .bind(org.uuid())
    .bind(id.uuid())
    .bind(version)
    .bind(canary.map(|canary| i16::from(canary.percent)))
    .execute(&mut *db)
    .await?;
    write_live_record(db, org, id).await
}

/// Writes the record of the live pointer, from what is true under its lock.
async fn write_live_record(db: &mut PgConnection, org: OrgId, id: EndpointId) -> Result<(), Error> {
    let slot = records::lock(db, org, RecordKey::Live(id)).await?;
    let endpoint = find(db, org, id).await?;
    let record = LiveRecord {
        publisher: org,
        version: endpoint.live,
        withdrawn: endpoint.withdrawn_at.is_some(),
        canary: endpoint.canary,
    };
    slot.put(db, &RecordValue::Live(record)).await
}

/// The quotas that an org's endpoints set for each of their installs.
pub(crate) async fn install_quotas(db: &mut PgConnection, org: OrgId) -> Result<Vec<Quota>, Error> {
    let rows: Vec<(Uuid, Json<Vec<Limit>>)> = sqlx::query_as(
        "SELECT id, limits FROM endpoints WHERE org_id = $1 AND withdrawn_at IS NULL AND limits <> '[]' ORDER BY id",
    )
    .bind(org.uuid())
    .fetch_all(db)
    .await?;
    let quota = |id, limit| Quota {
        subject: Subject::EachInstall { endpoint: EndpointId::from_uuid(id) },
        limit,
        action: Action::Reject,
    };
    Ok(rows
        .into_iter()
        .flat_map(|(id, limits)| limits.0.into_iter().map(move |limit| quota(id, limit)))
        .collect())
}

/// Which of these endpoints are not the org's own.
pub(crate) async fn unknown(
    db: &mut PgConnection,
    org: OrgId,
    ids: &[EndpointId],
) -> Result<HashSet<EndpointId>, Error> {
    let known: Vec<(Uuid,)> =
        sqlx::query_as("SELECT id FROM endpoints WHERE org_id = $1 AND id = ANY($2) AND deleted_at IS NULL")
            .bind(org.uuid())
            .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .fetch_all(db)
            .await?;
    let known: HashSet<EndpointId> = known.into_iter().map(|(id,)| EndpointId::from_uuid(id)).collect();
    Ok(ids.iter().copied().filter(|id| !known.contains(id)).collect())
}

/// The words of terms that text columns hold: payer, and whether the publisher ever paid.
fn columns(terms: &Terms) -> (String, bool) {
    (word(terms.payer), terms.payer == Payer::Publisher)
}
