//! What is settled of an attempt when it has ended, and when.

use crate::{
    disguise::Usage,
    org_client::{self, Reservation},
    org_wire::Settle,
    visit::Visit,
};
use alphagate_contract::{
    endpoint::Price,
    usage::{Outcome, Served},
};

/// How an attempt ended.
#[derive(Debug)]
pub struct End {
    /// How.
    pub outcome: Outcome,
    /// What it used, as the provider says; none: the estimate counts.
    pub usage: Option<Usage>,
    /// What the target charges.
    pub price: Option<Price>,
    /// From admission to its first content, milliseconds; 0 if there was none.
    pub content_ms: u64,
    /// Which target it was.
    pub served: Served,
}

/// What to settle.
#[must_use]
pub fn of(reservation: &Reservation, end: End) -> Settle {
    let End { outcome, usage, price, content_ms, served } = end;
    Settle {
        id: reservation.id,
        outcome,
        used: usage.map(|usage| usage.amounts(price)),
        cached_input_tokens: usage.map_or(0, |usage| usage.cached_tokens),
        reasoning_tokens: usage.map_or(0, |usage| usage.reasoning_tokens),
        first_byte_ms: content_ms,
        served,
        flags: reservation.flags.clone(),
    }
}

/// Settles after the answer.
pub fn later(visit: &Visit, reservation: Reservation, settle: Settle) {
    let (env, limit_ms) = (visit.env.clone(), visit.settings.object_timeout_ms);
    visit.context.wait_until(async move {
        org_client::settle(&env, limit_ms, &reservation, &settle).await;
    });
}
