//! Proofs of leases: one book, isolates with clocks of their own, mail that is late, doubled or lost, and deaths.

use super::*;
use crate::{
    id::{EndpointId, KeyId},
    quota::{
        Action, Concurrency, Limit, Quota, Rate, Subject, Unit, Window,
        book::{Book, Caller, Decision, tests::evict},
    },
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const START_MS: u64 = 1_790_000_000_000;
const TTL_MS: u64 = 30_000;
/// How long an isolate waits for the book's owner.
const TIMEOUT_MS: u64 = 2_000;
const WINDOW: Window = Window::Minute;

fn request(n: u64) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(u128::from(n)))
}

fn caller() -> Caller {
    let uuid = Uuid::from_bytes([1; 16]);
    Caller { key: Some(KeyId::from_uuid(uuid)), endpoint: EndpointId::from_uuid(uuid), install: None }
}

fn one() -> Amounts {
    Amounts { requests: 1, input_tokens: 10, output_tokens: 20, cost_micros: 5 }
}

fn eight() -> Wanted {
    Wanted { each: one(), number: 8 }
}

fn requests(cap: u64) -> Quota {
    limited(Unit::Requests, cap)
}

fn limited(unit: Unit, cap: u64) -> Quota {
    let limit = Limit::Rate(Rate { unit, window: WINDOW, cap });
    Quota { subject: Subject::Org {}, limit, action: Action::Reject }
}

#[derive(Debug, Clone)]
enum Step {
    Requests { isolate: usize, number: u8 },
    Finish { which: usize },
    Fail { which: usize },
    Deliver { which: usize, number: u8 },
    Double { which: usize },
    Lose { which: usize },
    Pass { ms: u64 },
    Clock { isolate: usize, by_ms: i64 },
    LoseTimer { isolate: usize },
    Die { isolate: usize },
    Expire,
    Evict,
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<usize>;
    prop_oneof![
        12 => (0usize..3, 1u8..8).prop_map(|(isolate, number)| Step::Requests { isolate, number }),
        3 => which().prop_map(|which| Step::Finish { which }),
        1 => which().prop_map(|which| Step::Fail { which }),
        12 => (which(), 1u8..16).prop_map(|(which, number)| Step::Deliver { which, number }),
        1 => which().prop_map(|which| Step::Double { which }),
        1 => which().prop_map(|which| Step::Lose { which }),
        4 => (0u64..400).prop_map(|ms| Step::Pass { ms }),
        1 => (0u64..30_000).prop_map(|ms| Step::Pass { ms }),
        1 => ((0usize..3), -2_000i64..2_000).prop_map(|(isolate, by_ms)| Step::Clock { isolate, by_ms }),
        1 => (0usize..3).prop_map(|isolate| Step::LoseTimer { isolate }),
        1 => (0usize..3).prop_map(|isolate| Step::Die { isolate }),
        1 => Just(Step::Expire),
        1 => Just(Step::Evict),
    ]
}

/// A lease in an isolate, when its timer goes off, and what ended under it.
#[derive(Debug)]
struct Held {
    lease: Lease,
    timer_ms: Option<u64>,
    ended: Vec<Ended>,
}

#[derive(Debug, Clone)]
struct Ended {
    lease: Option<RequestId>,
    id: RequestId,
}

#[derive(Debug, Clone, Copy)]
struct Asking {
    isolate: usize,
    life: u64,
    id: RequestId,
    lease: RequestId,
    asked_ms: u64,
    asked_true_ms: u64,
}

#[derive(Debug, Clone)]
enum Mail {
    Ask(Asking),
    Answer(Asking, bool, Option<Amounts>),
    Return { closes: Option<RequestId>, running: Vec<(RequestId, RequestId)>, ended: Vec<Ended> },
    Cancel(RequestId),
}

#[derive(Debug, Default)]
struct Isolate {
    life: u64,
    clock_by_ms: i64,
    held: Vec<Held>,
    asking: Vec<Asking>,
    /// Admitted and not ended, each with its lease.
    running: Vec<(RequestId, Option<RequestId>)>,
}

/// Everything, on one true clock.
struct World {
    now_ms: u64,
    next: u64,
    quotas: Vec<Quota>,
    book: Book,
    isolates: Vec<Isolate>,
    mail: Vec<Mail>,
    /// Every admitted request that did not fail, with the time of its admission and its lease.
    admitted: BTreeMap<RequestId, (u64, Option<RequestId>)>,
    /// What the ledger got: an id, how many requests.
    events: Vec<(RequestId, u64)>,
    /// Whether clocks step back; if they do, timers go off.
    back: bool,
    lossy: bool,
}

impl World {
    fn new(quotas: Vec<Quota>, back: bool) -> Self {
        Self {
            now_ms: START_MS,
            next: 0,
            quotas,
            book: Book::default(),
            isolates: (0..3).map(|_| Isolate::default()).collect(),
            mail: Vec::new(),
            admitted: BTreeMap::new(),
            events: Vec::new(),
            back,
            lossy: false,
        }
    }

    fn id(&mut self) -> RequestId {
        self.next += 1;
        request(self.next)
    }

    fn clock(&self, isolate: usize) -> u64 {
        self.now_ms.saturating_add_signed(self.isolates[isolate].clock_by_ms)
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Requests { isolate, number } => (0..number).for_each(|_| self.request(isolate)),
            Step::Finish { which } => self.end(which, true),
            Step::Fail { which } => self.end(which, false),
            Step::Deliver { which, number } => {
                for n in 0..usize::from(number) {
                    if let Some(mail) = self.pick(which.wrapping_add(n)) {
                        self.deliver(mail);
                    }
                }
            }
            Step::Double { which } => {
                if let Some(mail) = self.pick(which) {
                    // What is sent again is what may have arrived; nobody asks twice under one id.
                    if !matches!(mail, Mail::Answer(..) | Mail::Ask(_)) {
                        self.mail.push(mail.clone());
                    }
                    self.deliver(mail);
                }
            }
            Step::Lose { which } => {
                if self.pick(which).is_some() {
                    self.lossy = true;
                }
            }
            Step::Pass { ms } => self.pass(ms),
            Step::Clock { isolate, by_ms } => {
                let by_ms = if self.back { by_ms } else { by_ms.abs() };
                self.isolates[isolate].clock_by_ms += by_ms;
            }
            Step::LoseTimer { isolate } if !self.back => {
                self.isolates[isolate].held.iter_mut().for_each(|held| held.timer_ms = None);
                self.lossy = true;
            }
            Step::LoseTimer { .. } => {}
            Step::Die { isolate } => {
                let life = self.isolates[isolate].life + 1;
                self.isolates[isolate] = Isolate { life, ..Isolate::default() };
                self.lossy = true;
            }
            Step::Expire => self.expire(),
            Step::Evict => evict(&mut self.book),
        }
    }

    fn pick(&mut self, which: usize) -> Option<Mail> {
        let number = self.mail.len();
        (number > 0).then(|| self.mail.remove(which % number))
    }

    /// A request reaches an isolate: it is admitted under a lease, or asks for itself and for a lease besides.
    fn request(&mut self, isolate: usize) {
        let (id, clock_ms, now_ms) = (self.id(), self.clock(isolate), self.now_ms);
        let lease = self.isolates[isolate]
            .held
            .iter_mut()
            .find_map(|held| held.lease.take(clock_ms, id, one()).then(|| held.lease.id()));
        if lease.is_some() {
            self.admitted.insert(id, (now_ms, lease));
            self.isolates[isolate].running.push((id, lease));
            self.check();
            return;
        }
        let (lease, life) = (self.id(), self.isolates[isolate].life);
        let asking = Asking { isolate, life, id, lease, asked_ms: clock_ms, asked_true_ms: now_ms };
        self.isolates[isolate].asking.push(asking);
        self.mail.push(Mail::Ask(asking));
    }

    fn deliver(&mut self, mail: Mail) {
        match mail {
            Mail::Ask(asking) => self.reserve(asking),
            Mail::Answer(asking, admitted, granted) => self.answered(asking, admitted, granted),
            Mail::Return { closes, running, ended } => self.returned(closes, &running, &ended),
            Mail::Cancel(id) => drop(self.book.cancel(self.now_ms, id)),
        }
    }

    fn reserve(&mut self, asking: Asking) {
        let (now_ms, id) = (self.now_ms, asking.id);
        let decision = self.book.reserve(now_ms, &self.quotas, &caller(), id, one(), TTL_MS);
        let admitted = matches!(decision, Decision::Admitted(_));
        let granted = if admitted {
            // Nobody calls a provider for a request that was given up.
            if self.waits(&asking) {
                self.admitted.insert(id, (now_ms, None));
                self.check();
            }
            self.book.lease(now_ms, &self.quotas, &caller(), asking.lease, eight(), TTL_MS)
        } else {
            None
        };
        self.mail.push(Mail::Answer(asking, admitted, granted));
    }

    fn waits(&self, asking: &Asking) -> bool {
        let isolate = &self.isolates[asking.isolate];
        isolate.life == asking.life && isolate.asking.iter().any(|other| other.id == asking.id)
    }

    fn answered(&mut self, asking: Asking, admitted: bool, granted: Option<Amounts>) {
        if !self.waits(&asking) {
            return;
        }
        let isolate = &mut self.isolates[asking.isolate];
        isolate.asking.retain(|other| other.id != asking.id);
        if admitted {
            isolate.running.push((asking.id, None));
        }
        if let Some(granted) = granted {
            let timer_ms = asking.asked_true_ms + LEASE_MS;
            let lease = Lease::new(asking.lease, asking.asked_ms, granted);
            isolate.held.push(Held { lease, timer_ms: Some(timer_ms), ended: Vec::new() });
            self.pass(0);
        }
    }

    fn end(&mut self, which: usize, served: bool) {
        let isolate = which % 3;
        let number = self.isolates[isolate].running.len();
        if number == 0 {
            return;
        }
        let (id, lease) = self.isolates[isolate].running.remove((which / 3) % number);
        let held = &mut self.isolates[isolate].held;
        let own = held.iter_mut().find(|held| Some(held.lease.id()) == lease);
        if !served {
            self.admitted.remove(&id);
            if !own.is_some_and(|held| held.lease.put_back(id)) {
                self.mail.push(Mail::Cancel(id));
            }
            return;
        }
        let ended = Ended { lease, id };
        match held.first_mut() {
            Some(held) => held.ended.push(ended),
            None => self.mail.push(Mail::Return { closes: None, running: vec![], ended: vec![ended] }),
        }
    }

    /// The isolate's timer, or whoever finds the lease long over: what was admitted under it goes back with it.
    fn give_back(&mut self, isolate: usize, which: usize) {
        let held = self.isolates[isolate].held.remove(which);
        let lease = held.lease.id();
        let running = held.lease.given().map(|(id, _)| (lease, id)).collect();
        self.mail.push(Mail::Return { closes: Some(lease), running, ended: held.ended });
    }

    fn returned(&mut self, closes: Option<RequestId>, running: &[(RequestId, RequestId)], ended: &[Ended]) {
        let now_ms = self.now_ms;
        for Ended { lease, id } in ended {
            let taken =
                lease.is_some_and(|lease| self.book.take_and_settle(now_ms, lease, *id, one(), one()));
            if taken || self.book.settle(now_ms, *id, one()).is_some() {
                self.events.push((*id, 1));
            }
        }
        for (lease, id) in running {
            self.book.take(now_ms, *lease, *id, one(), TTL_MS);
        }
        if let Some(lease) = closes {
            self.book.give_back(now_ms, lease);
        }
    }

    /// Time goes on; timers go off at their time, and whoever waits too long gives up.
    fn pass(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        loop {
            let due = self.isolates.iter().enumerate().flat_map(|(n, isolate)| {
                isolate.held.iter().enumerate().filter_map(move |(m, held)| Some((held.timer_ms?, n, m)))
            });
            let Some((due_ms, isolate, which)) = due.min().filter(|(due_ms, ..)| *due_ms <= end_ms) else {
                break;
            };
            self.now_ms = self.now_ms.max(due_ms);
            self.give_back(isolate, which);
        }
        self.now_ms = end_ms;
        for n in 0..self.isolates.len() {
            let (late, waiting) = std::mem::take(&mut self.isolates[n].asking)
                .into_iter()
                .partition::<Vec<_>, _>(|asking| asking.asked_true_ms + TIMEOUT_MS <= end_ms);
            self.isolates[n].asking = waiting;
            for asking in late {
                self.admitted.remove(&asking.id);
                self.mail.extend([Mail::Cancel(asking.id), Mail::Cancel(asking.lease)]);
            }
        }
    }

    fn expire(&mut self) {
        let orphans = self.book.expire(self.now_ms);
        let charged = orphans.into_iter().map(|(id, reservation)| (id, reservation.estimate.requests));
        self.events.extend(charged.filter(|(_, requests)| *requests > 0));
    }

    /// The promise: no true window ever holds more admitted requests than the cap.
    fn check(&self) {
        let Limit::Rate(Rate { cap, .. }) = self.quotas[0].limit else { return };
        let from_ms = self.now_ms - WINDOW.length_ms();
        let number = self.admitted.values().filter(|(at_ms, _)| *at_ms > from_ms).count() as u64;
        assert!(number <= cap, "{number} requests in a window of {cap}");
    }

    /// All that is on its way arrives, and everything that nobody ends runs out.
    fn settle_down(&mut self) {
        self.pass(TIMEOUT_MS);
        for isolate in 0..3 {
            while !self.isolates[isolate].held.is_empty() {
                self.give_back(isolate, 0);
            }
        }
        while let Some(mail) = self.pick(0) {
            self.deliver(mail);
        }
        // Whoever still runs ends.
        for isolate in 0..3 {
            while !self.isolates[isolate].running.is_empty() {
                self.end(isolate, true);
            }
        }
        while let Some(mail) = self.pick(0) {
            self.deliver(mail);
        }
        self.now_ms += LEASE_LOST_MS + TTL_MS;
        self.expire();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// Whatever is late, doubled, lost or dead, and whatever the isolates' clocks say.
    #[test]
    fn no_window_is_over_admitted_under_leases(
        cap in 30u64..80,
        back in any::<bool>(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut world = World::new(vec![requests(cap)], back);
        for step in &steps {
            world.apply(step);
        }
    }

    /// Each request that was served is in the ledger once: by itself, or within the lease that was lost with its
    /// isolate; and if nothing was lost, nothing else is in it.
    #[test]
    fn every_request_under_a_lease_is_charged_once(
        cap in 30u64..400,
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut world = World::new(vec![requests(cap)], true);
        for step in &steps {
            world.apply(step);
        }
        world.settle_down();
        let ids: BTreeSet<RequestId> = world.events.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(ids.len(), world.events.len(), "an event is there twice");
        let mut missing: BTreeMap<RequestId, u64> = BTreeMap::new();
        for (id, (_, lease)) in world.admitted.iter().filter(|(id, _)| !ids.contains(*id)) {
            let lease = lease.unwrap_or(*id);
            *missing.entry(lease).or_default() += 1;
        }
        let charged: BTreeMap<RequestId, u64> = world.events.iter().copied().collect();
        for (lease, number) in missing {
            prop_assert!(charged.get(&lease).is_some_and(|most| *most >= number), "{number} are missing");
        }
        if !world.lossy {
            let sum: u64 = world.events.iter().map(|(_, requests)| requests).sum();
            prop_assert_eq!(sum, world.admitted.len() as u64);
        }
    }

    /// Nothing is stuck: once every lease has ended and the window has passed, the whole cap is free again.
    #[test]
    fn leases_leave_nothing_behind(
        cap in 1u64..60,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(vec![requests(cap)], true);
        for step in &steps {
            world.apply(step);
        }
        world.settle_down();
        let later_ms = world.now_ms + WINDOW.length_ms() + WINDOW.bucket_ms() + LEASE_MS;
        drop(world.book.expire(later_ms));
        prop_assert_eq!(world.book.next_expiry_ms(), None);
        let concurrency = Limit::Concurrency(Concurrency { concurrency: 1 });
        world.quotas.push(Quota { limit: concurrency, ..requests(1) });
        for n in 0..cap {
            let id = request(1_000_000 + n);
            let decision = world.book.reserve(later_ms, &world.quotas, &caller(), id, one(), TTL_MS);
            prop_assert!(matches!(decision, Decision::Admitted(_)), "{:?}", decision);
            world.book.settle(later_ms, id, one());
        }
        let decision = world.book.reserve(later_ms, &world.quotas, &caller(), request(2_000_000), one(), TTL_MS);
        prop_assert!(matches!(decision, Decision::Refused(_)));
    }

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
fn cases() -> u32 {
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
