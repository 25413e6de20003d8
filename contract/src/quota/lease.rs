//! A lease: part of an org's room, counted as used in the org's book, from which an isolate admits by itself.
//!
//! Promise: an isolate admits no more under a lease than the book counted for it, and nothing once [`LEASE_MS`] have
//! passed since before it asked. A clock that is seen to step back ends the lease; one that nobody can see stepping
//! is why the isolate also ends it by a timer.

use super::Amounts;
use crate::id::RequestId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long an isolate may admit under a lease, milliseconds, counted on its own clock from before it asked. What a
/// revocation, a suspension or a publish changes is seen by then.
pub const LEASE_MS: u64 = 1_000;
/// When the book gives up waiting for a lease to be returned, at the latest, milliseconds: work after an answer lives 30 s at most,
/// so nobody can return it any more.
pub const LEASE_LOST_MS: u64 = 60_000;
/// Most requests of one lease: what is charged at most for nothing when an isolate dies. A hop for every 128
/// requests is under 1 % of their time.
pub const LEASE_REQUESTS_MAX: u64 = 128;
/// A lease takes at most one part in so many of the room left: sixteen isolates that ask at once leave a third of it.
pub const LEASE_SHARE: u64 = 16;
/// Fewer requests than this are not worth a lease: they are reserved one by one.
pub const LEASE_REQUESTS_MIN: u64 = 2;

/// A lease that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What there should be room for, for each request.
    pub each: Amounts,
    /// For how many requests at most.
    pub number: u64,
}

/// A lease in an isolate's hands.
#[derive(Debug, Clone)]
pub struct Lease {
    id: RequestId,
    asked_ms: u64,
    seen_ms: u64,
    over: bool,
    granted: Amounts,
    left: Amounts,
    given: BTreeMap<RequestId, Amounts>,
}

impl Lease {
    /// A lease that was granted to whoever asked at `asked_ms`, on the isolate's clock, read before it asked.
    #[must_use]
    pub const fn new(id: RequestId, asked_ms: u64, granted: Amounts) -> Self {
        let given = BTreeMap::new();
        Self { id, asked_ms, seen_ms: asked_ms, over: false, granted, left: granted, given }
    }

    /// Its id in the book.
    #[must_use]
    pub const fn id(&self) -> RequestId {
        self.id
    }

    /// What has been given out of it.
    #[must_use]
    pub const fn taken(&self) -> Amounts {
        self.granted.minus(self.left)
    }

    /// Whether requests may be admitted under it. Once it is over it stays over, whatever the clock says then.
    pub const fn is_valid(&mut self, now_ms: u64) -> bool {
        let forward = now_ms >= self.seen_ms;
        self.over = self.over || !forward || now_ms - self.asked_ms >= LEASE_MS;
        self.seen_ms = now_ms;
        !self.over
    }

    /// Admits a request under the lease. `now_ms` is read after the last wait before the provider is called.
    pub fn take(&mut self, now_ms: u64, id: RequestId, estimate: Amounts) -> bool {
        let fits = estimate.requests > 0 && self.left.covers(estimate);
        if !self.is_valid(now_ms) || !fits || self.given.contains_key(&id) {
            return false;
        }
        self.left = self.left.minus(estimate);
        self.given.insert(id, estimate);
        true
    }

    /// A request that was admitted cost nothing: its part can be given to another one.
    pub fn put_back(&mut self, id: RequestId) -> bool {
        let Some(estimate) = self.given.remove(&id) else { return false };
        self.left = self.left.plus(estimate);
        true
    }

    /// The requests that were admitted and not put back, with what each took.
    pub fn given(&self) -> impl Iterator<Item = (RequestId, Amounts)> {
        self.given.iter().map(|(id, estimate)| (*id, *estimate))
    }

    /// What was given to this request.
    #[must_use]
    pub fn given_to(&self, id: RequestId) -> Option<Amounts> {
        self.given.get(&id).copied()
    }

    /// Whether its holder should have returned it long ago, so that another one may.
    #[must_use]
    pub const fn is_overdue(&self, now_ms: u64) -> bool {
        now_ms < self.asked_ms || now_ms - self.asked_ms >= 2 * LEASE_MS
    }

    /// Whether the book has given it up.
    #[must_use]
    pub const fn is_lost(&self, now_ms: u64) -> bool {
        now_ms < self.asked_ms || now_ms - self.asked_ms >= LEASE_LOST_MS
    }
}

/// How much an isolate has admitted of late for the same caller: the measure of its next lease.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demand {
    second: u64,
    now: (u64, Amounts),
    before: (u64, Amounts),
}

impl Demand {
    /// Notes a request with this estimate, and answers how many more are to be expected within a second: twice as
    /// many as came in this one or the last, so none after a first one.
    pub fn note(&mut self, now_ms: u64, estimate: Amounts) -> u64 {
        let second = now_ms / LEASE_MS;
        if second != self.second {
            let follows = second == self.second + 1;
            self.before = if follows { self.now } else { (0, Amounts::default()) };
            (self.second, self.now) = (second, (0, Amounts::default()));
        }
        let expected = self.now.0.max(self.before.0).saturating_mul(2);
        self.now = (self.now.0.saturating_add(1), self.now.1.largest(estimate));
        expected.min(LEASE_REQUESTS_MAX)
    }

    /// The largest estimates of this second and the last: what a lease should have room for, for each request.
    #[must_use]
    pub fn largest(&self) -> Amounts {
        self.now.1.largest(self.before.1)
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "lease_world_tests.rs"]
mod world_tests;
