//! Leases in the book: how much one may be, what is taken out of it, and what comes back.
//!
//! Invariant: a lease is a reservation for many requests, counted where it ends, so that no window is passed by what
//! is admitted in its last moment. What is taken out of it goes over into a reservation of its own, once, in the
//! same buckets; only the rest is given back.

use super::{
    super::{
        Unit,
        lease::{LEASE_LOST_MS, LEASE_MS, LEASE_REQUESTS_MAX, LEASE_REQUESTS_MIN, LEASE_SHARE, Wanted},
    },
    Amounts, BTreeSet, Book, Caller, Limit, Quota, Rate, RequestId, Reservation, Span, Subject, Window,
};

impl Book {
    /// Grants a lease for up to as many requests as are wanted, if there is room for it far from every cap. `None`: the
    /// caller's requests are reserved one by one. Not returned within `ttl_ms`, and [`LEASE_LOST_MS`], it is lost.
    ///
    /// Where a quota caps concurrency there is no lease: what is not running would keep out what could be.
    pub fn lease(
        &mut self,
        now_ms: u64,
        quotas: &[Quota],
        caller: &Caller,
        id: RequestId,
        wanted: Wanted,
        ttl_ms: u64,
    ) -> Option<Amounts> {
        self.tick(now_ms);
        let applying = caller.applying(quotas);
        let Wanted { each, number } = wanted;
        let most = number.min(LEASE_REQUESTS_MAX);
        let number = applying
            .iter()
            .map(|(subject, quota)| self.requests_on_lease(*subject, quota, each))
            .fold(most, u64::min);
        if number < LEASE_REQUESTS_MIN || self.is_spent(id) {
            return None;
        }
        let granted = each.times(number);
        let at_ms = self.now_ms.saturating_add(LEASE_MS);
        let expires_ms = self.now_ms.saturating_add(ttl_ms.min(LEASE_LOST_MS));
        self.count(&applying, id, Span { at_ms, expires_ms }, granted, Some(BTreeSet::new()));
        Some(granted)
    }

    /// How many requests of `each` a lease may have under this quota.
    fn requests_on_lease(&mut self, subject: Subject, quota: &Quota, each: Amounts) -> u64 {
        let Limit::Rate(Rate { unit, window, cap }) = quota.limit else { return 0 };
        let room = cap.saturating_sub(self.rolled(subject, window).sum(unit));
        (room / LEASE_SHARE).checked_div(each.of(unit)).unwrap_or(u64::MAX)
    }

    /// Takes a request out of a lease, into a reservation of its own. `None`: the lease is not open, or the request
    /// was taken out of it or cancelled before; nothing has changed.
    pub fn take(
        &mut self,
        now_ms: u64,
        lease: RequestId,
        id: RequestId,
        estimate: Amounts,
        ttl_ms: u64,
    ) -> Option<Reservation> {
        self.tick(now_ms);
        if self.is_spent(id) {
            return None;
        }
        let held = self.open.get_mut(&lease)?;
        if !held.estimate.covers(estimate) || estimate.requests != 1 || !held.taken.as_mut()?.insert(id) {
            return None;
        }
        held.estimate = held.estimate.minus(estimate);
        let reservation = Reservation {
            at_ms: held.at_ms,
            expires_ms: self.now_ms.saturating_add(ttl_ms),
            estimate,
            taken: None,
            meters: held.meters.clone(),
            subjects: held.subjects.clone(),
        };
        // It was counted with the lease already.
        for subject in &reservation.subjects {
            if let Some(running) = self.running.get_mut(subject) {
                *running = running.saturating_sub(1);
            }
        }
        self.changes.reservations.insert(lease);
        self.open(id, reservation.clone());
        Some(reservation)
    }

    /// Takes a request out of a lease and settles it. False: as for [`Self::take`], nothing has changed.
    pub fn take_and_settle(
        &mut self,
        now_ms: u64,
        lease: RequestId,
        id: RequestId,
        estimate: Amounts,
        used: Amounts,
    ) -> bool {
        if self.take(now_ms, lease, id, estimate, 0).is_none() {
            return false;
        }
        self.close(id, used);
        // It never was in storage.
        self.changes.reservations.remove(&id);
        true
    }

    /// Ends a lease: what was not taken out of it is free again. `None`: it is not open (returned or lost before).
    pub fn give_back(&mut self, now_ms: u64, lease: RequestId) -> Option<Reservation> {
        self.tick(now_ms);
        self.open.get(&lease)?.taken.as_ref()?;
        self.close(lease, Amounts::default())
    }

    /// How much of a meter is on leases that may still be returned.
    pub(super) fn on_lease(&self, subject: Subject, window: Window, unit: Unit) -> u64 {
        let late_ms = self.now_ms.saturating_sub(LEASE_MS);
        let leases = self.open.values().filter(|held| held.taken.is_some() && held.at_ms >= late_ms);
        leases
            .filter(|held| held.meters.contains(&(subject, window)))
            .fold(0, |sum, held| sum.saturating_add(held.estimate.of(unit)))
    }
}
