//! The gate of an endpoint: the evals that a version has to pass before it goes live.
//!
//! A gate is read and changed under its endpoint's lock, as everything about an endpoint is; it has a revision, which
//! grows with every change. An endpoint without a gate, or with an empty one, demands nothing.

mod put;
mod read;
mod verdict;

pub(crate) use put::{put, release_evals};
pub(crate) use read::{find, get};
pub(crate) use verdict::{Measured, Reason, Thresholds, Verdict, verdict};

use alphagate_contract::id::{EndpointId, EvalId, KeyId, UserId};
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(read::get, put::put))]
pub(crate) struct Docs;

/// Most evals of a gate: each is a run per publication, and all of them have to end before the deadline.
pub(crate) const EVALS_MAX: usize = 8;
/// Shortest time that a publication may have: nothing is measured in less than a second.
pub(crate) const DEADLINE_MIN_S: u32 = 1;
/// Longest time that a publication may have, and so keep others from its endpoint: a day.
pub(crate) const DEADLINE_MAX_S: u32 = 86_400;
/// The time that a publication has where nobody said how long: ten thousand items at eight a second, thrice.
pub(crate) const DEADLINE_DEFAULT_S: u32 = 3_600;

/// What an endpoint demands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Gate {
    endpoint: EndpointId,
    /// Grows with every change; 0: nobody ever set one.
    pub(crate) revision: i64,
    pub(crate) evals: Vec<Demand>,
    /// How long a publication may wait for its verdicts, seconds.
    pub(crate) deadline_s: u32,
    changed_at: Option<DateTime<Utc>>,
    changed_by: Option<KeyId>,
    changed_by_user: Option<UserId>,
}

/// One of a gate's evals.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = GateDemand)]
pub(crate) struct Demand {
    pub(crate) eval: EvalId,
    /// As in a run of the eval, without a model: the version under test is the model.
    #[schema(value_type = Object)]
    pub(crate) data_source: Value,
    /// Digest of the data, hex; what is measured on other data is no verdict here.
    #[schema(value_type = String)]
    #[serde(serialize_with = "hex_text")]
    pub(crate) data_digest: [u8; 32],
    pub(crate) thresholds: Thresholds,
}

/// A digest as it is shown.
pub(crate) fn hex_text<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(digest))
}
