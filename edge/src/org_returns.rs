//! What an org's object does with leases: grants them, and takes back what isolates return.
//!
//! Invariant: glue over `contract::quota::book`, one synchronous step each. A return that comes twice changes nothing
//! the second time.

use crate::{
    clock,
    org_object::Core,
    org_store::Held,
    org_wire::{Ended, Given, Reserve, Return},
};
use alphagate_contract::{
    id::RequestId,
    quota::{Amounts, Quota, book::Book},
    usage::Admission,
};
use std::collections::BTreeSet;
use worker::Result;

impl Core {
    /// Grants the lease that was asked for besides, if there is room for it. Should it be lost, its usage event begins
    /// like that of the request that asked.
    pub(crate) fn grant(&self, book: &mut Book, ask: &Reserve, quotas: &[Quota]) -> Result<Option<Amounts>> {
        let Some(lease) = &ask.lease else { return Ok(None) };
        let granted = book.lease(clock::now_ms(), quotas, &ask.caller, lease.id, lease.wanted, ask.ttl_ms);
        if let Some(reservation) = granted.and_then(|_| book.reservation(lease.id).cloned()) {
            let admission = ask.admission.clone().map(|admission| Admission { id: lease.id, ..admission });
            self.store.hold(lease.id, Held { reservation, admission, flagged: Vec::new() })?;
        }
        Ok(granted)
    }

    /// Settles what has ended, reserves what runs, and frees the rest. True: there are new usage events.
    pub(crate) fn take_back(&self, returned: &Return) -> Result<bool> {
        let mut book = self.book.borrow_mut();
        let mut settled = false;
        for ended in &returned.ended {
            settled |= self.end(&mut book, ended)?;
        }
        for Given { lease, admission, estimate } in &returned.running {
            let taken = book.take(clock::now_ms(), *lease, admission.id, *estimate, returned.ttl_ms);
            if let Some(reservation) = taken {
                let held = Held { reservation, admission: Some(admission.clone()), flagged: Vec::new() };
                self.store.hold(admission.id, held)?;
            }
        }
        if let Some(lease) = returned.closes {
            book.give_back(clock::now_ms(), lease);
        }
        self.keep_open_leases(&book, returned)?;
        self.store.save(&mut book)?;
        Ok(settled)
    }

    fn end(&self, book: &mut Book, ended: &Ended) -> Result<bool> {
        let (settle, now_ms) = (&ended.settle, clock::now_ms());
        if let Some(Given { lease, admission, estimate }) = &ended.given {
            let used = settle.used.unwrap_or(*estimate);
            if book.take_and_settle(now_ms, *lease, settle.id, *estimate, used) {
                self.append(admission.clone(), Vec::new(), settle, used, ended.total_ms)?;
                return Ok(true);
            }
        }
        let Some(estimate) = book.reservation(settle.id).map(|held| held.estimate) else {
            return Ok(false);
        };
        let used = settle.used.unwrap_or(estimate);
        if let Some(Held { admission: Some(admission), flagged, .. }) = self.store.held(settle.id)? {
            self.append(admission, flagged, settle, used, ended.total_ms)?;
        }
        book.settle(now_ms, settle.id, used);
        Ok(true)
    }

    /// Leases out of which something was taken, and which are not over, are written anew.
    fn keep_open_leases(&self, book: &Book, returned: &Return) -> Result<()> {
        let ended = returned.ended.iter().filter_map(|ended| ended.given.as_ref());
        let touched: BTreeSet<RequestId> = ended.chain(&returned.running).map(|given| given.lease).collect();
        for lease in touched {
            let Some(reservation) = book.reservation(lease).cloned() else { continue };
            if let Some(held) = self.store.held(lease)? {
                self.store.hold(lease, Held { reservation, ..held })?;
            }
        }
        Ok(())
    }
}
