//! Provider credentials: written, never read back.
//!
//! At rest a secret is encrypted with its org's data key, bound to its org and credential. What the edge gets is sealed to its
//! public key when it changes, bound to the record's revision and to the one origin that it may be sent to.

mod create;
mod delete;
mod destination;
mod locked;
mod read;
mod renew;
mod rotate;
mod standing;
mod uses;

pub(crate) use create::create;
pub(crate) use delete::delete;
pub(crate) use destination::{Destination, check_destinations, origins_of};
pub(crate) use read::{get, list};
pub(crate) use renew::{oldest_data_key, renew_of_org, renew_outdated};
pub(crate) use rotate::rotate;
pub(crate) use standing::{Standing, keep_no_copies, sealed_to, standing};
pub(crate) use uses::{Use, Uses, note_use};

use crate::{app::App, error::Error, outbox::records, platform::Randomness};
use alphagate_contract::{
    id::{CredentialId, OrgId},
    record::{CredentialRecord, RecordKey, RecordValue},
    seal::Binding,
    secret::Secret,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(create::create, read::list, read::get, delete::delete, rotate::rotate))]
pub(crate) struct Docs;

/// Longest secret: tokens of some providers have 2,000 characters.
const SECRET_MAX_LEN: usize = 8_192;

/// A provider's secret in a request: text that fits into a header.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 8192, pattern = "^[!-~]+$")]
pub(crate) struct SecretText(Secret<String>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let text = String::deserialize(json)?;
        let fits =
            (1..=SECRET_MAX_LEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            return Ok(Self(Secret::new(text)));
        }
        let message = format!("must have 1 to {SECRET_MAX_LEN} visible ASCII characters and no spaces");
        Err(serde::de::Error::custom(message))
    }
}

/// A credential as admins read it: everything but the secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Credential {
    id: CredentialId,
    name: String,
    origin: String,
    created_at: DateTime<Utc>,
    rotated_at: Option<DateTime<Utc>>,
    /// The end of the secret, where it is long enough to have one.
    last_four: Option<String>,
    /// When a call was last served with it, as far as the edge has handed it over.
    last_used_at: Option<DateTime<Utc>>,
    /// Calls that were served with it.
    uses: i64,
}

/// The columns of [`Row`].
macro_rules! columns {
    () => {
        "id, name, origin, created_at, rotated_at, last_four, last_used_at, uses"
    };
}
use columns;

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    origin: String,
    created_at: DateTime<Utc>,
    rotated_at: Option<DateTime<Utc>>,
    last_four: Option<String>,
    last_used_at: Option<DateTime<Utc>>,
    uses: i64,
}

impl From<Row> for Credential {
    fn from(row: Row) -> Self {
        Self {
            id: CredentialId::from_uuid(row.id),
            name: row.name,
            origin: row.origin,
            created_at: row.created_at,
            rotated_at: row.rotated_at,
            last_four: row.last_four,
            last_used_at: row.last_used_at,
            uses: row.uses,
        }
    }
}

/// Seals a secret to the edge, at the record's next revision, and puts it into the outbox.
async fn write_record(
    app: &App,
    db: &mut PgConnection,
    org: OrgId,
    id: CredentialId,
    origin: &str,
    secret: &Secret<String>,
) -> Result<(), Error> {
    let slot = records::lock(db, org, RecordKey::Credential(id)).await?;
    let revision = slot.revision()?;
    let binding = Binding { org, credential: id, revision, origin };
    let key = &app.settings().seal_public_keys.key;
    let sealed = key.seal(&mut Randomness(app.platform()), &binding, secret).map_err(Error::internal)?;
    let record = CredentialRecord { org, origin: origin.to_owned(), sealed_revision: revision, sealed };
    slot.put(db, &RecordValue::Credential(record)).await
}

/// The origins of those of these credentials that the org has.
pub(crate) async fn origins(
    db: &mut PgConnection,
    org: OrgId,
    ids: &[CredentialId],
) -> Result<HashMap<CredentialId, String>, Error> {
    let rows: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT id, origin FROM credentials WHERE org_id = $1 AND id = ANY($2)")
            .bind(org.uuid())
            .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().map(|(id, origin)| (CredentialId::from_uuid(id), origin)).collect())
}
