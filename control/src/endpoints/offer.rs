//! What another org may know of an endpoint before it installs it. Read by the system role: tenants see no rows of others.
//!
//! Private, withdrawn, unpublished and unknown endpoints are no offers, and look alike.

use crate::{body::from_word, error::Error};
use alphagate_contract::{
    id::{EndpointId, OrgId},
    usage::Payer,
};
use sqlx::PgConnection;
use uuid::Uuid;

/// An endpoint that can be installed, or was.
#[derive(Debug)]
pub(crate) struct Offer {
    /// Whose endpoint it is.
    pub(crate) publisher: OrgId,
    /// The endpoint.
    pub(crate) endpoint: EndpointId,
    /// Who pays the provider.
    pub(crate) payer: Payer,
    /// The version that is live.
    pub(crate) live: Option<u32>,
}

type Row = (Uuid, String, Option<i32>);

fn offer(endpoint: EndpointId, (publisher, payer, live): Row) -> Result<Offer, Error> {
    let live = live.map(u32::try_from).transpose().map_err(Error::internal)?;
    Ok(Offer { publisher: OrgId::from_uuid(publisher), endpoint, payer: from_word(&payer)?, live })
}

/// The offer of a public, live endpoint.
pub(crate) async fn offer_to_anyone(
    system: &mut PgConnection,
    endpoint: EndpointId,
) -> Result<Option<Offer>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT org_id, payer, live_version FROM endpoints
         WHERE id = $1 AND visibility = 'public' AND withdrawn_at IS NULL AND live_version IS NOT NULL",
    )
    .bind(endpoint.uuid())
    .fetch_optional(system)
    .await?;
    row.map(|row| offer(endpoint, row)).transpose()
}

/// The offer behind an install that exists, whether or not it is still public; none once it is withdrawn.
pub(crate) async fn offer_of(
    system: &mut PgConnection,
    publisher: OrgId,
    endpoint: EndpointId,
) -> Result<Option<Offer>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT org_id, payer, live_version FROM endpoints
         WHERE org_id = $1 AND id = $2 AND withdrawn_at IS NULL",
    )
    .bind(publisher.uuid())
    .bind(endpoint.uuid())
    .fetch_optional(system)
    .await?;
    row.map(|row| offer(endpoint, row)).transpose()
}
