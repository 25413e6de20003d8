//! The leases that this isolate holds, what was admitted under each, and what has ended since.
//!
//! Invariant: a lease is used only by requests that were judged by the very records it was granted for; it leaves
//! here once, as what the org's object is told, and whatever was admitted under it goes with it.

use crate::{
    answer::Limits,
    org_wire::{Ended, Given, Return},
    resolve::Seen,
};
use alphagate_contract::{
    id::{OrgId, RequestId},
    quota::{
        Amounts,
        book::Caller,
        lease::{Demand, LEASE_MS, LEASE_REQUESTS_MIN, Lease, Wanted},
    },
    usage::Admission,
};
use std::{collections::HashMap, rc::Rc};

/// Most holders that an isolate knows; at a few hundred bytes each, some megabytes.
const HOLDERS_MAX: usize = 10_000;
/// Most leases at once; with 128 requests of 400 bytes each, 13 MB at the very worst.
const LEASES_MAX: usize = 256;

/// Who may use a lease: a caller, by the records that the object had no newer ones of.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The org whose object grants.
    pub org: OrgId,
    /// Whose requests they are.
    pub caller: Caller,
    /// The records, with their revisions.
    pub seen: Vec<Seen>,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Turn {
    /// It is admitted.
    Admitted {
        /// Under which lease.
        lease: RequestId,
        /// For the answer's headers.
        limits: Limits,
    },
    /// The object has to be asked for it, and for a lease besides if one is wanted.
    Ask(Option<Wanted>),
}

#[derive(Debug, Default)]
struct Spot {
    demand: Demand,
    /// The lease that was asked for last and not granted yet, and when.
    asking: Option<(RequestId, u64)>,
    leases: Vec<RequestId>,
}

#[derive(Debug)]
struct Held {
    holder: Rc<Holder>,
    lease: Lease,
    /// As they were before anything was taken out of it.
    limits: Limits,
    running: HashMap<RequestId, Admission>,
    ended: Vec<Ended>,
}

/// All leases of the isolate.
#[derive(Debug, Default)]
pub struct Leases {
    spots: HashMap<Rc<Holder>, Spot>,
    held: HashMap<RequestId, Held>,
}

impl Leases {
    /// Admits a request under a lease, or says what to ask for. `now_ms` is read after the last wait.
    pub fn turn(
        &mut self,
        now_ms: u64,
        holder: &Rc<Holder>,
        admission: &Admission,
        estimate: Amounts,
    ) -> Turn {
        self.make_room(now_ms);
        let spot = self.spots.entry(Rc::clone(holder)).or_default();
        let number = spot.demand.note(now_ms, estimate);
        for id in &spot.leases {
            let Some(held) = self.held.get_mut(id) else { continue };
            let before = held.lease.taken();
            if held.lease.take(now_ms, admission.id, estimate) {
                held.running.insert(admission.id, admission.clone());
                let limits = held.limits.after(before).after(estimate);
                return Turn::Admitted { lease: *id, limits };
            }
        }
        let asks = spot.asking.is_some_and(|(_, asked_ms)| is_recent(now_ms, asked_ms));
        let wanted = number >= LEASE_REQUESTS_MIN && !asks && self.held.len() < LEASES_MAX;
        Turn::Ask(wanted.then(|| Wanted { each: spot.demand.largest(), number }))
    }

    /// Notes that a lease is being asked for, so that nobody else asks meanwhile.
    pub fn asks(&mut self, now_ms: u64, holder: &Rc<Holder>, lease: RequestId) {
        self.spots.entry(Rc::clone(holder)).or_default().asking = Some((lease, now_ms));
    }

    /// Takes a lease into use. False: its second is over, so it has to be given back as it is.
    pub fn granted(
        &mut self,
        holder: &Rc<Holder>,
        lease: RequestId,
        granted: Amounts,
        limits: Limits,
    ) -> bool {
        let Some(spot) = self.spots.get_mut(holder) else { return false };
        let Some((_, asked_ms)) = spot.asking.take_if(|(id, _)| *id == lease) else { return false };
        spot.leases.push(lease);
        let held = Held {
            holder: Rc::clone(holder),
            lease: Lease::new(lease, asked_ms, granted),
            limits,
            running: HashMap::new(),
            ended: Vec::new(),
        };
        self.held.insert(lease, held);
        true
    }

    /// The request cost nothing: what it took can be used again. False: its lease has left.
    pub fn put_back(&mut self, lease: RequestId, id: RequestId) -> bool {
        self.held.get_mut(&lease).is_some_and(|held| {
            held.running.remove(&id);
            held.lease.put_back(id)
        })
    }

    /// Keeps a settlement until a lease of the org is returned. If none is held that soon will be, it comes back.
    pub fn settle(&mut self, now_ms: u64, org: OrgId, ended: Ended) -> Option<Ended> {
        let own = ended.given.as_ref().map(|given| given.lease);
        if let Some(held) = own.and_then(|lease| self.held.get_mut(&lease)) {
            held.running.remove(&ended.settle.id);
        }
        let returns = |held: &Held| held.holder.org == org && !held.lease.is_overdue(now_ms);
        let own = own.filter(|lease| self.held.get(lease).is_some_and(returns));
        let any = || self.held.iter().find(|(_, held)| returns(held)).map(|(lease, _)| *lease);
        match own.or_else(any).and_then(|lease| self.held.get_mut(&lease)) {
            Some(held) => {
                held.ended.push(ended);
                None
            }
            None => Some(ended),
        }
    }

    /// A lease of this holder that whoever asked for it should have returned.
    pub fn overdue(&self, now_ms: u64, holder: &Rc<Holder>) -> Option<RequestId> {
        let leases = &self.spots.get(holder)?.leases;
        leases.iter().copied().find(|id| self.held.get(id).is_some_and(|held| held.lease.is_overdue(now_ms)))
    }

    /// Ends a lease, or the wait for one: what its org's object has to be told, if there is anything.
    pub fn end(&mut self, holder: &Rc<Holder>, lease: RequestId, ttl_ms: u64) -> Option<Return> {
        if let Some(spot) = self.spots.get_mut(holder) {
            spot.asking.take_if(|(id, _)| *id == lease);
            spot.leases.retain(|id| *id != lease);
        }
        let held = self.held.remove(&lease)?;
        let given = |(id, admission)| {
            let estimate = held.lease.given_to(id)?;
            Some(Given { lease, admission, estimate })
        };
        let running = held.running.into_iter().filter_map(given).collect();
        Some(Return { closes: Some(lease), running, ended: held.ended, ttl_ms })
    }

    /// Forgets who has not asked of late, and leases that the object has given up.
    fn make_room(&mut self, now_ms: u64) {
        if self.held.len() >= LEASES_MAX {
            self.held.retain(|_, held| !held.lease.is_lost(now_ms));
        }
        if self.spots.len() >= HOLDERS_MAX {
            let held = &self.held;
            self.spots.retain(|_, spot| spot.leases.iter().any(|id| held.contains_key(id)));
        }
    }
}

fn is_recent(now_ms: u64, asked_ms: u64) -> bool {
    now_ms.checked_sub(asked_ms).is_some_and(|age_ms| age_ms < 2 * LEASE_MS)
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
