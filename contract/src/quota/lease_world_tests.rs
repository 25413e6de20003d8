//! Proofs of leases among all who have to do with them: one book, isolates with clocks of their own, mail that is late,
//! doubled or lost, and deaths.

use super::{
    tests::{START_MS, TTL_MS, WINDOW, caller, cases, eight, one, request, requests},
    *,
};
use crate::quota::{
    Concurrency, Limit, Quota, Rate,
    book::{Book, Decision, tests::evict},
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// How long an isolate waits for the book's owner.
const TIMEOUT_MS: u64 = 2_000;

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
        // A lease whose return was on its way for longer than the book waits is lost, as if it had never been sent.
        self.lossy |= orphans.iter().any(|(id, _)| !self.admitted.contains_key(id));
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
}
