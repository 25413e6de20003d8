//! The isolate's leases, on a driven clock.

use super::*;
use crate::org_wire::Settle;
use alphagate_contract::{
    id::{EndpointId, KeyId},
    quota::book::Room,
    record::RecordKey,
    usage::{Outcome, Payer, Served},
};

const NOW_MS: u64 = 1_790_000_000_000;
const TTL_MS: u64 = 30_000;

fn org(n: u8) -> OrgId {
    OrgId::new(0, [n; 10])
}

fn request(n: u8) -> RequestId {
    RequestId::new(0, [n; 10])
}

fn holder(n: u8, revision: u64) -> Rc<Holder> {
    let (key, endpoint) = (KeyId::new(0, [n; 10]), EndpointId::new(0, [n; 10]));
    let caller = Caller { key: Some(key), endpoint, install: None };
    Rc::new(Holder { org: org(n), caller, seen: vec![(RecordKey::Key(key), revision)] })
}

fn admission(n: u8) -> Admission {
    Admission {
        id: request(n),
        at_ms: NOW_MS,
        org: org(1),
        key: KeyId::new(0, [1; 10]),
        endpoint: EndpointId::new(0, [1; 10]),
        publisher: org(1),
        install: None,
        payer: Payer::Publisher,
        version: 1,
        stream: false,
    }
}

fn one() -> Amounts {
    Amounts { requests: 1, input_tokens: 10, output_tokens: 20, cost_micros: 0 }
}

fn ended(n: u8, lease: Option<RequestId>) -> Ended {
    let settle = Settle {
        id: request(n),
        outcome: Outcome::Completed,
        used: None,
        cached_input_tokens: 0,
        reasoning_tokens: 0,
        first_byte_ms: 0,
        served: Served::default(),
        flags: Vec::new(),
    };
    let given = lease.map(|lease| Given { lease, admission: admission(n), estimate: one() });
    Ended { settle, total_ms: 1, given }
}

fn limits() -> Limits {
    let room = Room { limit: 100, remaining: 90, reset_ms: 1 };
    Limits { requests: Some(room), tokens: None }
}

/// Leases among which `request(200)` was granted for five requests of `holder(1, 1)`.
fn with_lease() -> (Leases, Rc<Holder>, RequestId) {
    let (mut leases, holder, lease) = (Leases::default(), holder(1, 1), request(200));
    leases.asks(NOW_MS, &holder, lease);
    assert!(leases.granted(&holder, lease, one().times(5), limits()));
    (leases, holder, lease)
}

fn wants(turn: &Turn) -> Option<u64> {
    match turn {
        Turn::Ask(wanted) => wanted.map(|wanted| wanted.number),
        Turn::Admitted { .. } => None,
    }
}

fn admitted(turn: &Turn) -> bool {
    matches!(turn, Turn::Admitted { .. })
}

#[test]
fn a_second_request_asks_for_a_lease_and_nobody_else_does_meanwhile() {
    let (mut leases, holder) = (Leases::default(), holder(1, 1));
    let turn = |leases: &mut Leases, at_ms, n| wants(&leases.turn(at_ms, &holder, &admission(n), one()));
    assert_eq!(turn(&mut leases, NOW_MS, 1), None);
    assert_eq!(turn(&mut leases, NOW_MS, 2), Some(2));
    leases.asks(NOW_MS, &holder, request(200));
    assert_eq!(turn(&mut leases, NOW_MS + 1, 3), None);
    assert!(leases.end(&holder, request(200), TTL_MS).is_none(), "nothing was granted");
    assert!(!leases.granted(&holder, request(200), one().times(5), limits()), "its second is over");
    assert_eq!(turn(&mut leases, NOW_MS + 2, 4), Some(6));
    // Whoever asks and dies keeps nobody from asking for long.
    leases.asks(NOW_MS + 2, &holder, request(201));
    assert_eq!(turn(&mut leases, NOW_MS + 3, 5), None);
    assert!(turn(&mut leases, NOW_MS + 2 + 2 * LEASE_MS, 6).is_none(), "no demand");
    assert_eq!(turn(&mut leases, NOW_MS + 3 + 2 * LEASE_MS, 7), Some(2));
}

#[test]
fn a_lease_serves_whom_it_was_granted_for_by_the_same_records_within_its_second() {
    let (mut leases, own, lease) = with_lease();
    let Turn::Admitted { lease: used, limits } = leases.turn(NOW_MS, &own, &admission(1), one()) else {
        panic!("there is a lease");
    };
    assert_eq!((used, limits.requests.map(|room| room.remaining)), (lease, Some(89)));
    for other in [holder(2, 1), holder(1, 2)] {
        assert!(!admitted(&leases.turn(NOW_MS, &other, &admission(2), one())), "{other:?}");
    }
    assert!(admitted(&leases.turn(NOW_MS + LEASE_MS - 1, &own, &admission(3), one())));
    assert!(!admitted(&leases.turn(NOW_MS + LEASE_MS, &own, &admission(4), one())));
}

#[test]
fn what_leaves_names_everything_that_was_admitted_once() {
    let (mut leases, holder, lease) = with_lease();
    for n in 1..=4 {
        assert!(admitted(&leases.turn(NOW_MS, &holder, &admission(n), one())));
    }
    assert!(leases.put_back(lease, request(4)));
    assert!(leases.settle(NOW_MS, org(1), ended(2, Some(lease))).is_none());
    let over = leases.end(&holder, lease, TTL_MS).unwrap();
    assert_eq!((over.closes, over.ttl_ms), (Some(lease), TTL_MS));
    let mut running: Vec<_> = over.running.iter().map(|given| given.admission.id).collect();
    running.sort_unstable();
    assert_eq!(running, [request(1), request(3)]);
    assert_eq!(over.ended.iter().map(|ended| ended.settle.id).collect::<Vec<_>>(), [request(2)]);
    assert!(leases.end(&holder, lease, TTL_MS).is_none());
    assert!(!leases.put_back(lease, request(1)), "the object has to be told");
    let late = leases.settle(NOW_MS, org(1), ended(1, Some(lease))).unwrap();
    assert!(late.given.is_some_and(|given| given.lease == lease), "it says where it was admitted");
}

#[test]
fn what_was_reserved_by_itself_is_settled_with_a_lease_of_its_org() {
    let (mut leases, holder, lease) = with_lease();
    assert!(leases.settle(NOW_MS, org(2), ended(7, None)).is_some(), "another org's object");
    assert!(leases.settle(NOW_MS, org(1), ended(8, None)).is_none());
    assert!(leases.settle(NOW_MS, org(1), ended(9, Some(request(199)))).is_none(), "its own lease has left");
    assert_eq!(leases.overdue(NOW_MS + LEASE_MS, &holder), None);
    // Whoever should have returned it is gone: nothing is left to it any more, and somebody else returns it.
    let late_ms = NOW_MS + 2 * LEASE_MS;
    assert!(leases.settle(late_ms, org(1), ended(10, None)).is_some());
    assert_eq!(leases.overdue(late_ms, &holder), Some(lease));
    assert_eq!(leases.end(&holder, lease, TTL_MS).map(|over| over.ended.len()), Some(2));
    assert_eq!(leases.overdue(late_ms, &holder), None);
}

#[test]
fn holders_and_leases_are_bounded() {
    let mut leases = Leases::default();
    for n in 0..HOLDERS_MAX as u64 + 10 {
        leases.turn(NOW_MS, &holder(1, n), &admission(1), one());
    }
    assert!(leases.spots.len() <= HOLDERS_MAX);
    for n in 0..LEASES_MAX as u64 {
        let (holder, lease) = (holder(1, n), RequestId::new(n, [0; 10]));
        leases.asks(NOW_MS, &holder, lease);
        leases.granted(&holder, lease, one(), limits());
    }
    let busy = holder(2, 1);
    leases.turn(NOW_MS, &busy, &admission(1), one());
    assert_eq!(wants(&leases.turn(NOW_MS, &busy, &admission(2), one())), None);
    // What nobody returned is forgotten once the object has given it up.
    let later_ms = NOW_MS + alphagate_contract::quota::lease::LEASE_LOST_MS;
    leases.turn(later_ms, &busy, &admission(3), one());
    assert_eq!(wants(&leases.turn(later_ms, &busy, &admission(4), one())), Some(2));
}
