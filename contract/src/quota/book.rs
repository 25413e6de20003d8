//! The arithmetic of quotas: what is reserved, settled, cancelled, and what has run out.
//!
//! Promise: for a quota on requests, no window ever holds more admitted requests than its cap, whatever the order
//! of calls, the evictions and the clock. Tokens and cost are reserved at an estimate and replaced by what was used,
//! so they can pass their cap by at most what the running requests use beyond their estimates. A lease is counted as
//! used from its grant on; only what is returned of it comes back.
//!
//! The book is a plain value. Whoever owns it calls one method at a time, and stores what [`Book::take_changes`]
//! names before it answers.

mod leases;

use super::{Action, Amounts, Limit, Quota, Rate, Subject, Window, lease::LEASE_MS, meter::Meter};
use crate::id::{EndpointId, InstallId, KeyId, RequestId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long the id of a cancelled reservation is kept, so that a reserve that arrives late finds it: longer than
/// any call to the object can be on its way.
pub const TOMBSTONE_MS: u64 = 60_000;

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// The key; none on the publisher's side of an install.
    pub key: Option<KeyId>,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The install, if the call goes through one.
    pub install: Option<InstallId>,
}

impl Caller {
    /// The subject whose meter `quota` reads for this caller, if it applies.
    fn meter_subject(&self, quota: &Quota) -> Option<Subject> {
        let applies = match quota.subject {
            Subject::Org {} => true,
            Subject::Key { key } => self.key == Some(key),
            Subject::Endpoint { endpoint } => self.endpoint == endpoint,
            Subject::KeyEndpoint { key, endpoint } => self.key == Some(key) && self.endpoint == endpoint,
            Subject::Install { install } => self.install == Some(install),
            Subject::EachInstall { endpoint } => {
                let install = self.install.filter(|_| self.endpoint == endpoint)?;
                return Some(Subject::Install { install });
            }
        };
        applies.then_some(quota.subject)
    }

    /// The quotas that apply to this caller, each with the subject whose meter it reads.
    fn applying<'a>(&self, quotas: &'a [Quota]) -> Vec<(Subject, &'a Quota)> {
        quotas.iter().filter_map(|quota| self.meter_subject(quota).map(|subject| (subject, quota))).collect()
    }
}

/// A request that was admitted and has not been settled; or a lease, under which an isolate admits many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// When it was admitted, on the book's clock; of a lease, when it ends.
    pub at_ms: u64,
    /// When it counts as an orphan.
    pub expires_ms: u64,
    /// What was reserved; of a lease, what has not been taken out of it.
    pub estimate: Amounts,
    /// Of a lease, the requests that were taken out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<BTreeSet<RequestId>>,
    /// The meters it was counted in.
    meters: Vec<(Subject, Window)>,
    /// The subjects whose concurrency it takes part in.
    subjects: Vec<Subject>,
}

impl Reservation {
    /// How many requests may be running by it.
    const fn running(&self) -> u64 {
        if self.taken.is_some() { self.estimate.requests } else { 1 }
    }
}

/// A request was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Labels of the quotas with action `flag` that it went over.
    pub flagged: Vec<String>,
    /// The tightest quota on requests, for the `x-ratelimit-*` headers.
    pub requests: Option<Room>,
    /// The tightest quota on tokens, for the `x-ratelimit-*` headers.
    pub tokens: Option<Room>,
}

/// How much is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The cap.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Milliseconds until the whole cap is free again, if nothing more is used.
    pub reset_ms: u64,
}

/// A request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The quota that refused it.
    pub quota: Quota,
    /// Milliseconds until the same request fits; none if it never does.
    pub retry_after_ms: Option<u64>,
}

/// What [`Book::reserve`] decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Admitted and counted.
    Admitted(Admitted),
    /// Refused by a quota; nothing was counted.
    Refused(Box<Refused>),
    /// This id was reserved before, or cancelled before it came; nothing was counted.
    Spent,
}

/// Rows that differ from what was stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Meters to write (or to delete where the book has none).
    pub meters: BTreeSet<(Subject, Window)>,
    /// Reservations to write (or to delete where the book has none).
    pub reservations: BTreeSet<RequestId>,
    /// Tombstones to write (or to delete where the book has none).
    pub tombstones: BTreeSet<RequestId>,
}

/// When something counts, and when it counts as an orphan.
#[derive(Debug, Clone, Copy)]
struct Span {
    at_ms: u64,
    expires_ms: u64,
}

/// All that an org's object counts.
#[derive(Debug, Default)]
pub struct Book {
    now_ms: u64,
    meters: BTreeMap<(Subject, Window), Meter>,
    open: BTreeMap<RequestId, Reservation>,
    running: BTreeMap<Subject, u64>,
    tombstones: BTreeMap<RequestId, u64>,
    changes: Changes,
}

impl Book {
    /// A book from stored rows. `now_ms` is a time that the stored book had seen; its clock starts there, or at
    /// its youngest bucket if that is later, so that a clock which stepped back meanwhile moves no window back.
    pub fn load(
        now_ms: u64,
        meters: impl IntoIterator<Item = ((Subject, Window), Meter)>,
        open: impl IntoIterator<Item = (RequestId, Reservation)>,
        tombstones: impl IntoIterator<Item = (RequestId, u64)>,
    ) -> Self {
        let mut book = Self {
            now_ms,
            meters: meters.into_iter().collect(),
            open: open.into_iter().collect(),
            tombstones: tombstones.into_iter().collect(),
            ..Self::default()
        };
        let youngest_ms =
            book.meters.iter().filter_map(|((_, window), meter)| meter.youngest_ms(*window)).max();
        book.now_ms = book.now_ms.max(youngest_ms.unwrap_or(0));
        for reservation in book.open.values() {
            for subject in &reservation.subjects {
                *book.running.entry(*subject).or_default() += reservation.running();
            }
        }
        book
    }

    /// The latest time seen: a clock that steps back does not move the windows back.
    #[must_use]
    pub const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// A stored meter.
    #[must_use]
    pub fn meter(&self, key: &(Subject, Window)) -> Option<&Meter> {
        self.meters.get(key)
    }

    /// An open reservation.
    #[must_use]
    pub fn reservation(&self, id: RequestId) -> Option<&Reservation> {
        self.open.get(&id)
    }

    /// When the tombstone of a cancelled reservation ends.
    #[must_use]
    pub fn tombstone(&self, id: RequestId) -> Option<u64> {
        self.tombstones.get(&id).copied()
    }

    /// Rows that changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// When the next reservation turns into an orphan or the next tombstone ends.
    #[must_use]
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let reservations = self.open.values().map(|reservation| reservation.expires_ms);
        reservations.chain(self.tombstones.values().copied()).min()
    }

    /// Admits or refuses a request in one step: every quota is checked before anything is counted.
    pub fn reserve(
        &mut self,
        now_ms: u64,
        quotas: &[Quota],
        caller: &Caller,
        id: RequestId,
        estimate: Amounts,
        ttl_ms: u64,
    ) -> Decision {
        self.tick(now_ms);
        if self.open.contains_key(&id) || self.tombstones.contains_key(&id) {
            return Decision::Spent;
        }
        let applying = caller.applying(quotas);
        let mut flagged = Vec::new();
        let mut longest: Option<Refused> = None;
        for (subject, quota) in &applying {
            let Some(retry_after_ms) = self.excess(*subject, quota, estimate) else { continue };
            if quota.action == Action::Flag {
                flagged.push(quota.label());
                continue;
            }
            let wait = |ms: Option<u64>| ms.unwrap_or(u64::MAX);
            if longest.as_ref().is_none_or(|other| wait(other.retry_after_ms) < wait(retry_after_ms)) {
                longest = Some(Refused { quota: **quota, retry_after_ms });
            }
        }
        if let Some(refused) = longest {
            return Decision::Refused(Box::new(refused));
        }
        let expires_ms = self.now_ms.saturating_add(ttl_ms);
        self.count(&applying, id, Span { at_ms: self.now_ms, expires_ms }, estimate, None);
        Decision::Admitted(Admitted {
            flagged,
            requests: self.tightest(&applying, |unit| unit == super::Unit::Requests),
            tokens: self
                .tightest(&applying, |unit| !matches!(unit, super::Unit::Requests | super::Unit::CostMicros)),
        })
    }

    /// Replaces the reservation by what was used. `None`: it is not open (settled before, or cancelled).
    pub fn settle(&mut self, now_ms: u64, id: RequestId, used: Amounts) -> Option<Reservation> {
        self.tick(now_ms);
        self.close(id, used)
    }

    /// Gives the reservation back in full. A reserve that comes later under this id is not admitted.
    /// `None`: it was not open.
    pub fn cancel(&mut self, now_ms: u64, id: RequestId) -> Option<Reservation> {
        self.tick(now_ms);
        self.tombstones.insert(id, self.now_ms.saturating_add(TOMBSTONE_MS));
        self.changes.tombstones.insert(id);
        self.close(id, Amounts::default())
    }

    /// Settles, at their estimates, the reservations that nobody settled in time.
    pub fn expire(&mut self, now_ms: u64) -> Vec<(RequestId, Reservation)> {
        self.tick(now_ms);
        let now_ms = self.now_ms;
        let ended: Vec<_> =
            self.tombstones.iter().filter(|(_, end)| **end <= now_ms).map(|(id, _)| *id).collect();
        for id in ended {
            self.tombstones.remove(&id);
            self.changes.tombstones.insert(id);
        }
        self.forget_empty_meters();
        let orphans: Vec<_> = self
            .open
            .iter()
            .filter(|(_, reservation)| reservation.expires_ms <= now_ms)
            .map(|(id, reservation)| (*id, reservation.estimate))
            .collect();
        orphans
            .into_iter()
            .filter_map(|(id, estimate)| self.close(id, estimate).map(|reservation| (id, reservation)))
            .collect()
    }

    /// Drops meters whose windows have passed, so that the book stays as small as what it counts.
    fn forget_empty_meters(&mut self) {
        for ((_, window), meter) in &mut self.meters {
            meter.roll(*window, self.now_ms);
        }
        let changes = &mut self.changes.meters;
        self.meters.retain(|key, meter| {
            if meter.is_empty() {
                changes.insert(*key);
            }
            !meter.is_empty()
        });
    }

    /// Whether this id was used before, or cancelled before it came.
    fn is_spent(&self, id: RequestId) -> bool {
        self.open.contains_key(&id) || self.tombstones.contains_key(&id)
    }

    fn tick(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// `None`: it fits. `Some(wait)`: it does not, and how long until it does.
    fn excess(&mut self, subject: Subject, quota: &Quota, estimate: Amounts) -> Option<Option<u64>> {
        match quota.limit {
            Limit::Concurrency(limit) => {
                let running = self.running.get(&subject).copied().unwrap_or(0);
                (running >= limit.concurrency).then_some(Some(0))
            }
            Limit::Rate(Rate { unit, window, cap }) => {
                let now_ms = self.now_ms;
                let meter = self.rolled(subject, window);
                let amount = estimate.of(unit);
                let sum = meter.sum(unit);
                if sum.checked_add(amount).is_some_and(|sum| sum <= cap) {
                    return None;
                }
                let wait_ms = meter.wait_ms(window, now_ms, unit, amount, cap);
                let without_leases = sum.saturating_sub(self.on_lease(subject, window, unit));
                let may_return = without_leases.checked_add(amount).is_some_and(|sum| sum <= cap);
                Some(if may_return { wait_ms.map(|ms| ms.min(LEASE_MS)) } else { wait_ms })
            }
        }
    }

    fn rolled(&mut self, subject: Subject, window: Window) -> &mut Meter {
        let meter = self.meters.entry((subject, window)).or_default();
        meter.roll(window, self.now_ms);
        meter
    }

    fn count(
        &mut self,
        applying: &[(Subject, &Quota)],
        id: RequestId,
        span: Span,
        estimate: Amounts,
        taken: Option<BTreeSet<RequestId>>,
    ) {
        let meters: BTreeSet<(Subject, Window)> = applying
            .iter()
            .filter_map(|(subject, quota)| match quota.limit {
                Limit::Rate(rate) => Some((*subject, rate.window)),
                Limit::Concurrency(_) => None,
            })
            .collect();
        for (subject, window) in &meters {
            self.rolled(*subject, *window).add(*window, span.at_ms, estimate);
        }
        let subjects: BTreeSet<Subject> = applying.iter().map(|(subject, _)| *subject).collect();
        let reservation = Reservation {
            at_ms: span.at_ms,
            expires_ms: span.expires_ms,
            estimate,
            taken,
            meters: meters.iter().copied().collect(),
            subjects: subjects.into_iter().collect(),
        };
        self.changes.meters.extend(meters);
        self.open(id, reservation);
    }

    fn open(&mut self, id: RequestId, reservation: Reservation) {
        for subject in &reservation.subjects {
            *self.running.entry(*subject).or_default() += reservation.running();
        }
        self.changes.reservations.insert(id);
        self.open.insert(id, reservation);
    }

    fn close(&mut self, id: RequestId, used: Amounts) -> Option<Reservation> {
        let reservation = self.open.remove(&id)?;
        self.changes.reservations.insert(id);
        for (subject, window) in &reservation.meters {
            let key = (*subject, *window);
            if let Some(meter) = self.meters.get_mut(&key) {
                meter.replace(*window, reservation.at_ms, reservation.estimate, used);
                meter.roll(*window, self.now_ms);
                if meter.is_empty() {
                    self.meters.remove(&key);
                }
                self.changes.meters.insert(key);
            }
        }
        for subject in &reservation.subjects {
            if let Some(running) = self.running.get_mut(subject) {
                *running = running.saturating_sub(reservation.running());
            }
        }
        self.running.retain(|_, running| *running > 0);
        Some(reservation)
    }

    fn tightest(&self, applying: &[(Subject, &Quota)], counts: impl Fn(super::Unit) -> bool) -> Option<Room> {
        let rooms = applying.iter().filter_map(|(subject, quota)| {
            let Limit::Rate(Rate { unit, window, cap }) = quota.limit else { return None };
            let meter = self.meters.get(&(*subject, window)).filter(|_| counts(unit))?;
            Some(Room {
                limit: cap,
                remaining: cap.saturating_sub(meter.sum(unit)),
                reset_ms: meter.wait_ms(window, self.now_ms, unit, cap, cap).unwrap_or(0),
            })
        });
        rooms.min_by_key(|room| room.remaining)
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
pub(super) mod tests;
