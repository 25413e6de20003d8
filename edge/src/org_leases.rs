//! Quotas in leased mode: most requests are admitted out of this isolate's memory, the others by the org's object.
//!
//! Invariant: no request waits for another's question. Whoever asks for a lease sets a timer before asking and gives
//! the lease back when it goes off, so a lease ends after its second whatever the clocks say.

use crate::{
    answer::Limits,
    clock,
    leases::{Holder, Leases, Turn},
    org_client::{self, Asked, Leased, Reservation},
    org_wire::{AskLease, Cancel, Ended, Given, Reserve, Reserved, Return, Settle},
    visit::{self, Visit},
};
use alphagate_contract::{
    id::{OrgId, RequestId},
    problem::Problem,
    quota::lease::{LEASE_MS, Wanted},
    usage::Admission,
};
use std::{cell::RefCell, rc::Rc, time::Duration};
use worker::{Delay, Env};

thread_local! {
    static LEASES: RefCell<Leases> = RefCell::default();
}

/// Admits under a lease, or asks the org's object for this request, and for a lease besides where more are to come.
///
/// # Errors
/// As [`org_client::reserve`].
pub async fn reserve(visit: &Visit, mut ask: Reserve, admission: Admission) -> Result<Asked, Problem> {
    let holder = Rc::new(Holder { org: ask.org, caller: ask.caller, seen: ask.seen.clone() });
    let now_ms = clock::now_ms();
    let turn = LEASES.with_borrow_mut(|leases| leases.turn(now_ms, &holder, &admission, ask.estimate));
    let wanted = match turn {
        Turn::Admitted { lease, limits } => {
            let given = Given { lease, admission, estimate: ask.estimate };
            return Ok(Asked::Admitted(reservation(visit, &ask, limits, Some(given))));
        }
        Turn::Ask(wanted) => wanted,
    };
    if let Some(lease) = LEASES.with_borrow(|leases| leases.overdue(now_ms, &holder)) {
        return_after(visit, &holder, lease, 0);
    }
    ask.lease = wanted.map(|wanted| begin(visit, &holder, wanted)).transpose()?;
    let reply = org_client::ask(visit, &ask).await;
    if let Some(AskLease { id, .. }) = ask.lease {
        take_into_use(visit, &holder, id, reply.as_ref());
    }
    org_client::conclude(visit, reservation(visit, &ask, Limits::default(), None), vec![reply])
}

fn reservation(visit: &Visit, ask: &Reserve, limits: Limits, given: Option<Given>) -> Reservation {
    let leased = Some(Box::new(Leased { started_ms: visit.started_ms, given }));
    Reservation { id: ask.id, limits, orgs: vec![ask.org], leased, flags: Vec::new() }
}

/// The second begins here, before the object is asked.
fn begin(visit: &Visit, holder: &Rc<Holder>, wanted: Wanted) -> Result<AskLease, Problem> {
    let now_ms = clock::now_ms();
    let id = visit::new_id(now_ms)?;
    LEASES.with_borrow_mut(|leases| leases.asks(now_ms, holder, id));
    return_after(visit, holder, id, LEASE_MS);
    Ok(AskLease { id, wanted })
}

/// Returns a lease in a while, if it is held by then. Work after an answer lives 30 s, many times as long.
fn return_after(visit: &Visit, holder: &Rc<Holder>, lease: RequestId, wait_ms: u64) {
    let (env, holder, settings) = (visit.env.clone(), Rc::clone(holder), Rc::clone(&visit.settings));
    visit.context.wait_until(async move {
        if wait_ms > 0 {
            Delay::from(Duration::from_millis(wait_ms)).await;
        }
        let ttl_ms = settings.reservation_ttl_ms;
        let over = LEASES.with_borrow_mut(|leases| leases.end(&holder, lease, ttl_ms));
        if let Some(body) = over {
            org_client::repeat(&env, holder.org, "/return", &body, settings.object_timeout_ms).await;
        }
    });
}

/// A lease whose answer is lost, or came after its second, is given back as it is: nothing was admitted under it.
fn take_into_use(visit: &Visit, holder: &Rc<Holder>, lease: RequestId, reply: Option<&Reserved>) {
    let used = match reply {
        Some(Reserved::Admitted { lease: Some(granted), requests, tokens, .. }) => {
            let limits = Limits { requests: *requests, tokens: *tokens };
            LEASES.with_borrow_mut(|leases| leases.granted(holder, lease, *granted, limits))
        }
        Some(_) => true,
        None => false,
    };
    if !used {
        let (env, org, limit_ms) = (visit.env.clone(), holder.org, visit.settings.object_timeout_ms);
        visit.context.wait_until(async move {
            org_client::repeat(&env, org, "/cancel", &Cancel { id: lease }, limit_ms).await;
        });
    }
}

/// Gives back what a request took of a lease that is still here. False: the org's object has to be told.
pub fn put_back(reservation: &Reservation) -> bool {
    let given = reservation.leased.as_ref().and_then(|leased| leased.given.as_ref());
    given.is_some_and(|given| LEASES.with_borrow_mut(|leases| leases.put_back(given.lease, reservation.id)))
}

/// Settles with the next lease that is returned, within a second, or at once where there is none.
pub async fn settle(env: &Env, limit_ms: u64, org: OrgId, leased: &Leased, settle: &Settle) {
    let now_ms = clock::now_ms();
    let total_ms = now_ms.saturating_sub(leased.started_ms);
    let ended = Ended { settle: settle.clone(), total_ms, given: leased.given.clone() };
    let Some(ended) = LEASES.with_borrow_mut(|leases| leases.settle(now_ms, org, ended)) else { return };
    let body = Return { closes: None, running: Vec::new(), ended: vec![ended], ttl_ms: 0 };
    org_client::repeat(env, org, "/return", &body, limit_ms).await;
}
