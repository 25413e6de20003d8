//! What is asked, however it came: as a request, or as a message on a connection.

use crate::{api::Api, proxy::Lease, recall::Recall};
use alphagate_contract::endpoint::Region;
use worker::web_sys::AbortSignal;

/// What is asked besides the body.
#[derive(Debug)]
pub struct Asking {
    /// By which route.
    pub api: Api,
    /// Of which endpoint, where the body does not say.
    pub endpoint: Option<String>,
    /// Where the caller is.
    pub region: Option<Region>,
    /// Aborted when the caller leaves.
    pub caller: AbortSignal,
    /// The body's share of the budget.
    pub lease: Lease,
    /// What the connection remembers; none: a request.
    pub recall: Option<Recall>,
}
