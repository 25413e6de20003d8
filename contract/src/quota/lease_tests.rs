//! Proofs of single leases: their size, their second, what is given and what comes back.

use super::*;
use crate::{
    id::{EndpointId, KeyId},
    quota::{
        Action, Concurrency, Limit, Quota, Rate, Subject, Unit, Window,
        book::{Book, Caller, Decision},
    },
};
use proptest::prelude::*;
use uuid::Uuid;

pub const START_MS: u64 = 1_790_000_000_000;
pub const TTL_MS: u64 = 30_000;
pub const WINDOW: Window = Window::Minute;

pub fn request(n: u64) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(u128::from(n)))
}

pub fn caller() -> Caller {
    let uuid = Uuid::from_bytes([1; 16]);
    Caller { key: Some(KeyId::from_uuid(uuid)), endpoint: EndpointId::from_uuid(uuid), install: None }
}

pub fn one() -> Amounts {
    Amounts { requests: 1, input_tokens: 10, output_tokens: 20, cost_micros: 5 }
}

pub fn eight() -> Wanted {
    Wanted { each: one(), number: 8 }
}

pub fn requests(cap: u64) -> Quota {
    limited(Unit::Requests, cap)
}

fn limited(unit: Unit, cap: u64) -> Quota {
    let limit = Limit::Rate(Rate { unit, window: WINDOW, cap });
    Quota { subject: Subject::Org {}, limit, action: Action::Reject }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// A lease is at most its share of what is left of each unit, and never for a single request.
    #[test]
    fn a_lease_is_a_small_part_of_the_room_left(
        unit in prop::sample::select(vec![
            Unit::Requests, Unit::InputTokens, Unit::OutputTokens, Unit::TotalTokens, Unit::CostMicros,
        ]),
        cap in 0u64..20_000,
        used in 0u64..200,
        wanted in 0u64..1_000,
    ) {
        let quotas = [limited(unit, cap)];
        let mut book = Book::default();
        for n in 0..used {
            book.reserve(START_MS, &quotas, &caller(), request(n), one(), TTL_MS);
        }
        let counted = used.min(cap / one().of(unit)) * one().of(unit);
        let Some(granted) = book.lease(START_MS, &quotas, &caller(), request(9_000), Wanted { each: one(), number: wanted }, TTL_MS) else {
            let share = (cap - counted) / LEASE_SHARE / one().of(unit);
            prop_assert!(share.min(wanted) < LEASE_REQUESTS_MIN);
            return Ok(());
        };
        prop_assert!((LEASE_REQUESTS_MIN..=LEASE_REQUESTS_MAX.min(wanted)).contains(&granted.requests));
        prop_assert!(granted.of(unit) * LEASE_SHARE <= cap - counted);
        prop_assert_eq!(granted, one().times(granted.requests));
    }
}

/// The long form runs with `AG_DEEP=1`.
pub fn cases() -> u32 {
    if std::env::var_os("AG_DEEP").is_some() { 20_000 } else { 256 }
}

fn lease_of(requests: u64) -> Lease {
    Lease::new(request(1), START_MS, one().times(requests))
}

#[test]
fn a_lease_ends_a_second_after_it_was_asked_for_and_never_begins_again() {
    let mut lease = lease_of(5);
    assert!(lease.take(START_MS, request(2), one()));
    assert!(lease.take(START_MS + LEASE_MS - 1, request(3), one()));
    assert!(!lease.take(START_MS + LEASE_MS, request(4), one()));
    assert!(!lease.take(START_MS + 1, request(5), one()), "the clock was set back");
    let mut lease = lease_of(5);
    assert!(lease.take(START_MS + 500, request(2), one()));
    assert!(!lease.take(START_MS + 499, request(3), one()), "a clock that steps back cannot be trusted");
    assert!(!lease.take(START_MS + 501, request(4), one()));
    let mut lease = lease_of(5);
    assert!(!lease.take(START_MS - 1, request(2), one()), "not even before its first use");
}

#[test]
fn no_more_than_was_granted_is_given_and_what_cost_nothing_is_given_again() {
    let mut lease = lease_of(2);
    assert!(lease.take(START_MS, request(2), one()));
    assert!(!lease.take(START_MS, request(2), one()), "an id is admitted once");
    let large = Amounts { output_tokens: 21, ..one() };
    assert!(!lease.take(START_MS, request(3), large), "more tokens than are left");
    assert!(lease.take(START_MS, request(3), one()));
    assert!(!lease.take(START_MS, request(4), one()));
    assert_eq!(lease.taken(), one().times(2));
    assert!(lease.put_back(request(3)));
    assert!(!lease.put_back(request(3)));
    assert!(lease.take(START_MS, request(4), one()));
    let given: Vec<_> = lease.given().map(|(id, _)| id).collect();
    assert_eq!(given, [request(2), request(4)]);
}

#[test]
fn demand_is_twice_what_came_in_this_second_or_the_last() {
    let mut demand = Demand::default();
    let at = |ms: u64| 5_000 + ms;
    let wanted: Vec<u64> = [0, 1, 2, 999].map(|ms| demand.note(at(ms), one())).to_vec();
    assert_eq!(wanted, [0, 2, 4, 6], "a first request wants no lease");
    assert_eq!(demand.note(at(1_000), one()), 8, "the last second counts");
    assert_eq!(demand.note(at(3_000), one()), 0, "an older one does not");
    let large = Amounts { input_tokens: 99, ..one() };
    demand.note(at(3_001), large);
    assert_eq!(demand.largest(), large);
    for n in 0..LEASE_REQUESTS_MAX {
        demand.note(at(3_002 + n / 2), one());
    }
    assert_eq!(demand.note(at(3_900), one()), LEASE_REQUESTS_MAX);
}

#[test]
fn a_lease_that_was_cancelled_before_it_came_is_not_granted() {
    let mut book = Book::default();
    assert!(book.cancel(START_MS, request(1)).is_none());
    assert_eq!(book.lease(START_MS, &[], &caller(), request(1), eight(), TTL_MS), None);
    assert!(book.lease(START_MS, &[], &caller(), request(2), eight(), TTL_MS).is_some());
    assert!(book.cancel(START_MS, request(2)).is_some(), "its answer was lost");
    assert!(book.take(START_MS, request(2), request(3), one(), TTL_MS).is_none());
}

#[test]
fn there_is_no_lease_under_a_cap_on_concurrency_nor_over_a_flagged_quota() {
    let plenty = requests(1_000_000);
    let concurrency = Limit::Concurrency(Concurrency { concurrency: 1_000 });
    let flagged = Quota { action: Action::Flag, ..requests(20) };
    let other = Quota { subject: Subject::Key { key: KeyId::from_uuid(Uuid::nil()) }, ..requests(0) };
    let cases = [
        (vec![], Some(8)),
        (vec![plenty], Some(8)),
        (vec![plenty, Quota { limit: concurrency, ..plenty }], None),
        (vec![plenty, flagged], None),
        (vec![plenty, other], Some(8)),
    ];
    for (quotas, expected) in cases {
        let granted = Book::default().lease(START_MS, &quotas, &caller(), request(1), eight(), TTL_MS);
        assert_eq!(granted.map(|granted| granted.requests), expected, "{quotas:?}");
    }
}

#[test]
fn what_is_on_lease_counts_and_a_refusal_says_that_it_may_come_back() {
    let quotas = [requests(40)];
    let mut book = Book::default();
    let granted = book.lease(START_MS, &quotas, &caller(), request(1), eight(), TTL_MS).unwrap();
    assert_eq!(granted.requests, 2);
    for n in 0..38 {
        let decision = book.reserve(START_MS, &quotas, &caller(), request(10 + n), one(), TTL_MS);
        assert!(matches!(decision, Decision::Admitted(_)), "{n}");
    }
    let refuse = |book: &mut Book, at_ms: u64, id: u64| {
        let Decision::Refused(refused) = book.reserve(at_ms, &quotas, &caller(), request(id), one(), TTL_MS)
        else {
            panic!("the cap is reached");
        };
        refused.retry_after_ms.unwrap()
    };
    assert_eq!(refuse(&mut book, START_MS, 100), LEASE_MS);
    assert_eq!(
        book.next_expiry_ms(),
        Some(START_MS + TTL_MS),
        "it is lost when it could not be settled either"
    );
    assert!(refuse(&mut book, START_MS + 3 * LEASE_MS, 101) > LEASE_MS, "nobody returned it");
    assert!(book.give_back(START_MS + 3 * LEASE_MS, request(1)).is_some());
    let at_ms = START_MS + 3 * LEASE_MS;
    for id in [102, 103] {
        let decision = book.reserve(at_ms, &quotas, &caller(), request(id), one(), TTL_MS);
        assert!(matches!(decision, Decision::Admitted(_)));
    }
    assert!(refuse(&mut book, at_ms, 104) > LEASE_MS);
}

#[test]
fn a_lease_is_counted_where_it_ends_so_that_its_last_request_stays_a_whole_window() {
    let quotas = [requests(32)];
    // The last millisecond of a bucket.
    let granted_ms = START_MS - START_MS % WINDOW.bucket_ms() + WINDOW.bucket_ms() - 1;
    let mut book = Book::default();
    book.lease(granted_ms, &quotas, &caller(), request(1), eight(), TTL_MS).unwrap();
    let used_ms = granted_ms + LEASE_MS - 1;
    for id in [2, 3] {
        assert!(book.take_and_settle(used_ms, request(1), request(id), one(), one()));
    }
    assert_eq!(book.give_back(used_ms, request(1)).map(|lease| lease.estimate.requests), Some(0));
    let most = |book: &mut Book, at_ms: u64, from: u64| {
        (0..40)
            .filter(|n| {
                let decision = book.reserve(at_ms, &quotas, &caller(), request(from + n), one(), TTL_MS);
                matches!(decision, Decision::Admitted(_))
            })
            .count()
    };
    assert_eq!(most(&mut book, used_ms + WINDOW.length_ms(), 100), 30);
}
