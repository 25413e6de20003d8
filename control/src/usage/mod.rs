//! Usage events: the ledger of served requests, as the edge hands it over and as both sides of an install read it.

mod ingest;
mod list;
mod of_keys;

pub(crate) use ingest::ingest;
pub(crate) use list::list;
pub(crate) use of_keys::{Spent, of_keys};

use sqlx::PgConnection;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list::list, ingest::ingest))]
pub(crate) struct Docs;

/// The columns of an event, by name: `*` would break when a migration adds one under a running program.
macro_rules! columns {
    () => {
        "org_id, id, at, key_id, endpoint_id, publisher_id, install_id, payer, version, stream, outcome, requests, \
         input_tokens, output_tokens, cost_micros, estimated, cached_input_tokens, reasoning_tokens, first_byte_ms, \
         total_ms, flagged, target, attempt, passed_over, flags"
    };
}
use columns;

/// How many months ahead the partitions are made: the loop may stand still that long.
const MONTHS_AHEAD: i32 = 3;

/// Makes the partitions of the months to come; gives how many were missing.
pub(crate) async fn make_partitions(system: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let (made,): (i32,) =
        sqlx::query_as("SELECT usage_events_partitions($1)").bind(MONTHS_AHEAD).fetch_one(system).await?;
    Ok(made)
}
