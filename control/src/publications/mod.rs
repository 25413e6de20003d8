//! Publications: moves of an endpoint's live pointer, forward or back.
//!
//! The caller says which version it believes to be live; of any number of publications at once, exactly one wins.

mod create;
mod read;

pub(crate) use create::create;
pub(crate) use read::{get, list};

use crate::error::Error;
use alphagate_contract::id::{EndpointId, PublicationId};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// A publication as its publisher reads it.
#[derive(Debug, Serialize)]
pub(crate) struct Publication {
    id: PublicationId,
    endpoint: EndpointId,
    version: u32,
    /// The version that was live before.
    replaced: Option<u32>,
    /// How it ended. Nothing stands between a publication and `live` yet.
    state: &'static str,
    created_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    endpoint_id: Uuid,
    version: i32,
    replaced: Option<i32>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Publication {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: PublicationId::from_uuid(row.id),
            endpoint: EndpointId::from_uuid(row.endpoint_id),
            version: u32::try_from(row.version).map_err(Error::internal)?,
            replaced: row.replaced.map(u32::try_from).transpose().map_err(Error::internal)?,
            state: "live",
            created_at: row.created_at,
        })
    }
}
