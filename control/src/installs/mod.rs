//! Installs: another org's endpoint under a name of one's own, following what is live or pinned to a version.
//!
//! What cannot be installed (private, withdrawn, unpublished, of a suspended org, unknown) is answered alike: 404. An
//! install that exists goes on when its endpoint is made private; withdrawing ends it.

mod change;
mod create;
mod delete;
mod read;
mod updates;

pub(crate) use change::change;
pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use read::{get, list};

use crate::{
    app::App, body::from_word, credentials, endpoints::Offer, error::Error, outbox::records, versions,
};
use alphagate_contract::{
    id::{CredentialId, EndpointId, InstallId, OrgId},
    name::EndpointName,
    record::{InstallRecord, NameRecord, RecordKey, RecordValue},
    usage::Payer,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(create::create, read::list, read::get, change::change, delete::delete))]
pub(crate) struct Docs;

/// An install as its org reads it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Install {
    id: InstallId,
    name: EndpointName,
    endpoint: EndpointId,
    publisher: OrgId,
    /// The version it stays on; none: it follows what is live.
    version: Option<u32>,
    /// Where it stays on an older one: the version that is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    update_available: Option<u32>,
    payer: Payer,
    credential: Option<CredentialId>,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    endpoint_id: Uuid,
    publisher_id: Uuid,
    pinned: Option<i32>,
    payer: String,
    credential_id: Option<Uuid>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Install {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: InstallId::from_uuid(row.id),
            name: row.name.parse().map_err(Error::internal)?,
            endpoint: EndpointId::from_uuid(row.endpoint_id),
            publisher: OrgId::from_uuid(row.publisher_id),
            version: row.pinned.map(u32::try_from).transpose().map_err(Error::internal)?,
            update_available: None,
            payer: from_word(&row.payer)?,
            credential: row.credential_id.map(CredentialId::from_uuid),
            created_at: row.created_at,
        })
    }
}

/// Writes the record of the install's name.
async fn write_record(db: &mut PgConnection, org: OrgId, install: &Install) -> Result<(), Error> {
    let record = NameRecord {
        endpoint: install.endpoint,
        publisher: install.publisher,
        created_s: u64::try_from(install.created_at.timestamp()).unwrap_or(0),
        install: Some(InstallRecord {
            id: install.id,
            pinned: install.version,
            payer: install.payer,
            credential: install.credential,
        }),
    };
    records::put(db, org, RecordKey::Name(org, install.name.clone()), &RecordValue::Name(record)).await
}

/// Checks that the version may be used, and that the installer's credential, if it pays, is for where it is sent.
async fn check_version(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    offer: &Offer,
    pinned: Option<u32>,
    payer: Payer,
    credential: Option<CredentialId>,
) -> Result<(), Error> {
    let Some(version) = pinned.or(offer.live) else { return Ok(()) };
    let mut system = app.system().acquire().await?;
    let origins = versions::origins_once_live(&mut system, offer.publisher, offer.endpoint, version).await?;
    drop(system);
    let origins = origins.ok_or_else(|| Error::field("version", "this endpoint has no such version"))?;
    match (payer, credential) {
        (Payer::Publisher, None) => Ok(()),
        (Payer::Publisher, Some(_)) => Err(Error::field("credential", "the publisher pays: leave it out")),
        (Payer::Installer, None) if origins.is_empty() => Ok(()),
        (Payer::Installer, None) => {
            let message = format!("you pay: name your credential for {}", origins.join(", "));
            Err(Error::field("credential", message))
        }
        (Payer::Installer, Some(credential)) => check_credential(db, org, credential, &origins).await,
    }
}

async fn check_credential(
    db: &mut PgConnection,
    org: OrgId,
    credential: CredentialId,
    origins: &[String],
) -> Result<(), Error> {
    let known = credentials::origins(db, org, &[credential]).await?;
    let Some(own) = known.get(&credential) else {
        return Err(Error::field("credential", "there is no such credential in your org"));
    };
    if origins.iter().all(|origin| origin == own) {
        return Ok(());
    }
    Err(Error::field("credential", format!("it is for {own}, but would be sent to {}", origins.join(", "))))
}

/// Which of these installs are neither the org's own nor of its endpoints.
pub(crate) async fn unknown(
    db: &mut PgConnection,
    org: OrgId,
    ids: &[InstallId],
) -> Result<HashSet<InstallId>, Error> {
    let known: Vec<(Uuid,)> =
        sqlx::query_as("SELECT id FROM installs WHERE (org_id = $1 OR publisher_id = $1) AND id = ANY($2)")
            .bind(org.uuid())
            .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .fetch_all(db)
            .await?;
    let known: HashSet<InstallId> = known.into_iter().map(|(id,)| InstallId::from_uuid(id)).collect();
    Ok(ids.iter().copied().filter(|id| !known.contains(id)).collect())
}

/// How many installs other orgs have of an endpoint of the org.
pub(crate) async fn number_of(db: &mut PgConnection, org: OrgId, endpoint: EndpointId) -> Result<i64, Error> {
    let (number,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM installs WHERE publisher_id = $1 AND endpoint_id = $2")
            .bind(org.uuid())
            .bind(endpoint.uuid())
            .fetch_one(db)
            .await?;
    Ok(number)
}

/// Which of these endpoints the org has not installed.
pub(crate) async fn not_installed(
    db: &mut PgConnection,
    org: OrgId,
    ids: &[EndpointId],
) -> Result<HashSet<EndpointId>, Error> {
    let known: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT DISTINCT endpoint_id FROM installs WHERE org_id = $1 AND endpoint_id = ANY($2)",
    )
    .bind(org.uuid())
    .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    let known: HashSet<EndpointId> = known.into_iter().map(|(id,)| EndpointId::from_uuid(id)).collect();
    Ok(ids.iter().copied().filter(|id| !known.contains(id)).collect())
}
