//! Proofs of the quota arithmetic: a driven clock (also backwards), all windows, subjects and units, evictions.

use super::*;
use crate::{
    id::{EndpointId, InstallId, KeyId, RequestId},
    quota::{Concurrency, Unit},
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use uuid::Uuid;

const TTL_MS: u64 = 30_000;
const START_MS: u64 = 1_790_000_000_000;

fn uuid(n: u8) -> Uuid {
    Uuid::from_bytes([n; 16])
}

fn request(n: u64) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(u128::from(n)))
}

fn caller(key: u8) -> Caller {
    Caller {
        key: Some(KeyId::from_uuid(uuid(key))),
        endpoint: EndpointId::from_uuid(uuid(100)),
        install: Some(InstallId::from_uuid(uuid(200))),
    }
}

fn rate(subject: Subject, unit: Unit, window: Window, cap: u64) -> Quota {
    Quota { subject, limit: Limit::Rate(Rate { unit, window, cap }), action: Action::Reject }
}

fn one() -> Amounts {
    Amounts { requests: 1, input_tokens: 10, output_tokens: 20, cost_micros: 5 }
}

fn admitted(decision: &Decision) -> bool {
    matches!(decision, Decision::Admitted(_))
}

fn subjects() -> Vec<Subject> {
    let key = KeyId::from_uuid(uuid(1));
    let endpoint = EndpointId::from_uuid(uuid(100));
    vec![
        Subject::Org {},
        Subject::Key { key },
        Subject::Endpoint { endpoint },
        Subject::KeyEndpoint { key, endpoint },
        Subject::Install { install: InstallId::from_uuid(uuid(200)) },
        Subject::EachInstall { endpoint },
    ]
}

/// Writes the book out and reads it back, as an eviction does.
pub fn evict(book: &mut Book) {
    let changes = book.take_changes();
    assert!(changes.meters.iter().all(|key| book.meters.contains_key(key) || book.meter(key).is_none()));
    *book = Book::load(
        book.now_ms,
        book.meters.iter().map(|(key, meter)| (*key, read_back(meter))).collect::<Vec<_>>(),
        book.open.iter().map(|(id, held)| (*id, read_back(held))).collect::<Vec<_>>(),
        book.tombstones.clone(),
    );
}

fn read_back<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Reserve { key: u8 },
    Settle { which: usize, output: u64 },
    Cancel { which: usize },
    Expire,
    Evict,
    Clock { by_ms: i64 },
}

fn step(span_ms: i64) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u8..3).prop_map(|key| Step::Reserve { key }),
        2 => (any::<usize>(), 0u64..60).prop_map(|(which, output)| Step::Settle { which, output }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        1 => Just(Step::Expire),
        1 => Just(Step::Evict),
        5 => (-span_ms..span_ms * 2).prop_map(|by_ms| Step::Clock { by_ms }),
    ]
}

/// What really happened: every admission with its time on a clock that never steps back.
#[derive(Default)]
struct Truth {
    admissions: Vec<(u64, RequestId, Amounts)>,
    clock_ms: u64,
    floor_ms: u64,
    next: u64,
}

impl Truth {
    fn used_in_window(&self, window: Window, unit: Unit) -> u64 {
        let from = self.floor_ms.saturating_sub(window.length_ms());
        self.admissions.iter().filter(|(at, ..)| *at > from).map(|(.., amounts)| amounts.of(unit)).sum()
    }

    fn apply(&mut self, book: &mut Book, quotas: &[Quota], step: &Step) -> bool {
        let pick = |which: usize, len: usize| (len > 0).then(|| which % len.max(1));
        match step {
            Step::Reserve { key } => {
                self.next += 1;
                let id = request(self.next);
                let decision = book.reserve(self.clock_ms, quotas, &caller(*key), id, one(), TTL_MS);
                // The book learns the time when it is called, and never goes back.
                assert!(book.now_ms() >= self.floor_ms.max(self.clock_ms));
                self.floor_ms = book.now_ms();
                if admitted(&decision) {
                    self.admissions.push((self.floor_ms, id, one()));
                    return true;
                }
            }
            Step::Settle { which, output } => {
                if let Some(index) = pick(*which, self.admissions.len()) {
                    let used = Amounts { output_tokens: *output, ..one() };
                    let (_, id, amounts) = &mut self.admissions[index];
                    if book.settle(self.clock_ms, *id, used).is_some() {
                        *amounts = used;
                    }
                }
            }
            Step::Cancel { which } => {
                if let Some(index) = pick(*which, self.admissions.len()) {
                    let (_, id, amounts) = &mut self.admissions[index];
                    if book.cancel(self.clock_ms, *id).is_some() {
                        *amounts = Amounts::default();
                    }
                }
            }
            Step::Expire => drop(book.expire(self.clock_ms)),
            Step::Evict => evict(book),
            Step::Clock { by_ms } => {
                self.clock_ms = self.clock_ms.saturating_add_signed(*by_ms);
            }
        }
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// The promise: right after any admission, the true number of admitted requests in the window is within the
    /// cap.
    #[test]
    fn no_window_is_ever_over_admitted(
        which in 0usize..6,
        window in prop::sample::select(Window::ALL.to_vec()),
        cap in 1u64..8,
        steps in prop::collection::vec(step(Window::Minute.length_ms() as i64), 1..120),
        scale in prop::sample::select(vec![1i64, 60, 1_440, 43_200]),
    ) {
        let mut subject = subjects()[which];
        if let Subject::Key { .. } | Subject::KeyEndpoint { .. } = subject {
            // Both keys are driven; only one is limited, so count only that one.
            subject = Subject::Org {};
        }
        let quotas = [rate(subject, Unit::Requests, window, cap)];
        let (mut book, mut truth) = (Book::default(), Truth { clock_ms: START_MS, ..Truth::default() });
        for step in &steps {
            let step = match step {
                Step::Clock { by_ms } => Step::Clock { by_ms: by_ms * scale / 10 },
                other => other.clone(),
            };
            if truth.apply(&mut book, &quotas, &step) {
                let used = truth.used_in_window(window, Unit::Requests);
                prop_assert!(used <= cap, "{used} requests in a window of {cap}");
            }
        }
    }

    /// Every unit: right after an admission, what is used and reserved in the window is within the cap.
    #[test]
    fn no_unit_is_admitted_over_its_cap(
        unit in prop::sample::select(vec![
            Unit::Requests, Unit::InputTokens, Unit::OutputTokens, Unit::TotalTokens, Unit::CostMicros,
        ]),
        window in prop::sample::select(Window::ALL.to_vec()),
        cap in 1u64..200,
        steps in prop::collection::vec(step(20_000), 1..80),
    ) {
        let quotas = [rate(Subject::Org {}, unit, window, cap)];
        let (mut book, mut truth) = (Book::default(), Truth { clock_ms: START_MS, ..Truth::default() });
        for step in &steps {
            if truth.apply(&mut book, &quotas, step) {
                let used = truth.used_in_window(window, unit);
                prop_assert!(used <= cap, "{used} of {cap}");
            }
        }
    }

    /// Nothing is stuck: once every reservation has ended and the window has passed, the whole cap is free again.
    #[test]
    fn nothing_is_stuck(
        window in prop::sample::select(Window::ALL.to_vec()),
        cap in 1u64..6,
        steps in prop::collection::vec(step(20_000), 1..80),
    ) {
        let quotas = [
            rate(Subject::Org {}, Unit::Requests, window, cap),
            Quota { subject: Subject::Org {}, limit: Limit::Concurrency(Concurrency { concurrency: cap }), action: Action::Reject },
        ];
        let (mut book, mut truth) = (Book::default(), Truth { clock_ms: START_MS, ..Truth::default() });
        for step in &steps {
            truth.apply(&mut book, &quotas, step);
        }
        let later = truth.floor_ms.max(truth.clock_ms) + TTL_MS + window.length_ms() + window.bucket_ms();
        drop(book.expire(later));
        for n in 0..cap {
            let decision = book.reserve(later, &quotas, &caller(1), request(1_000_000 + n), one(), TTL_MS);
            prop_assert!(admitted(&decision), "{decision:?}");
        }
        let over = book.reserve(later, &quotas, &caller(1), request(2_000_000), one(), TTL_MS);
        prop_assert!(!admitted(&over));
    }

    /// `retry_after_ms` is honest: one millisecond earlier the request is refused, at that time it is admitted.
    #[test]
    fn retry_after_is_exact(
        window in prop::sample::select(Window::ALL.to_vec()),
        cap in 1u64..5,
        gaps in prop::collection::vec(0u64..30_000, 1..12),
    ) {
        let quotas = [rate(Subject::Org {}, Unit::Requests, window, cap)];
        let (mut book, mut now_ms) = (Book::default(), START_MS);
        for (n, gap) in gaps.iter().enumerate() {
            now_ms += gap;
            let id = request(n as u64 + 1);
            let Decision::Refused(refused) = book.reserve(now_ms, &quotas, &caller(1), id, one(), TTL_MS) else { continue };
            let wait_ms = refused.retry_after_ms.unwrap();
            let early = book.reserve(now_ms + wait_ms - 1, &quotas, &caller(1), request(9_000), one(), TTL_MS);
            prop_assert!(!admitted(&early));
            let due = book.reserve(now_ms + wait_ms, &quotas, &caller(1), request(9_001), one(), TTL_MS);
            prop_assert!(admitted(&due));
            return Ok(());
        }
    }
}

/// The long form runs with `AG_DEEP=1`.
fn cases() -> u32 {
    if std::env::var_os("AG_DEEP").is_some() { 20_000 } else { 256 }
}

#[test]
fn settling_twice_counts_once_and_a_late_reserve_of_a_cancelled_id_is_spent() {
    let quotas = [rate(Subject::Org {}, Unit::Requests, Window::Hour, 2)];
    let mut book = Book::default();
    assert!(admitted(&book.reserve(START_MS, &quotas, &caller(1), request(1), one(), TTL_MS)));
    assert_eq!(book.reserve(START_MS, &quotas, &caller(1), request(1), one(), TTL_MS), Decision::Spent);
    assert!(book.settle(START_MS, request(1), one()).is_some());
    assert!(book.settle(START_MS, request(1), one()).is_none());
    assert!(book.cancel(START_MS, request(2)).is_none());
    assert_eq!(book.reserve(START_MS, &quotas, &caller(1), request(2), one(), TTL_MS), Decision::Spent);
    drop(book.expire(START_MS + TOMBSTONE_MS));
    assert!(admitted(&book.reserve(START_MS + TOMBSTONE_MS, &quotas, &caller(1), request(2), one(), TTL_MS)));
}

#[test]
fn orphans_are_charged_in_full_and_free_their_place() {
    let quotas = [
        rate(Subject::Org {}, Unit::OutputTokens, Window::Hour, 25),
        Quota {
            subject: Subject::Org {},
            limit: Limit::Concurrency(Concurrency { concurrency: 1 }),
            action: Action::Reject,
        },
    ];
    let mut book = Book::default();
    assert!(admitted(&book.reserve(START_MS, &quotas, &caller(1), request(1), one(), TTL_MS)));
    let small = Amounts { output_tokens: 5, ..one() };
    let Decision::Refused(refused) = book.reserve(START_MS, &quotas, &caller(1), request(2), small, TTL_MS)
    else {
        panic!("the only place is taken");
    };
    assert_eq!(refused.quota.label(), "org concurrency");
    assert_eq!(book.next_expiry_ms(), Some(START_MS + TTL_MS));
    assert_eq!(book.expire(START_MS + TTL_MS).len(), 1);
    assert!(admitted(&book.reserve(START_MS + TTL_MS, &quotas, &caller(1), request(3), small, TTL_MS)));
    assert!(!admitted(&book.reserve(START_MS + TTL_MS, &quotas, &caller(1), request(4), small, TTL_MS)));
}

#[test]
fn each_install_is_counted_by_itself_and_flagged_quotas_admit() {
    let endpoint = EndpointId::from_uuid(uuid(100));
    let quotas = [
        rate(Subject::EachInstall { endpoint }, Unit::Requests, Window::Day, 1),
        Quota { action: Action::Flag, ..rate(Subject::Org {}, Unit::Requests, Window::Day, 1) },
    ];
    let mut book = Book::default();
    let of = |install: u8| Caller { key: None, endpoint, install: Some(InstallId::from_uuid(uuid(install))) };
    assert!(admitted(&book.reserve(START_MS, &quotas, &of(1), request(1), one(), TTL_MS)));
    assert!(!admitted(&book.reserve(START_MS, &quotas, &of(1), request(2), one(), TTL_MS)));
    let Decision::Admitted(other) = book.reserve(START_MS, &quotas, &of(2), request(3), one(), TTL_MS) else {
        panic!("another install has its own count");
    };
    assert_eq!(other.flagged, ["org requests/day"]);
    assert_eq!(other.requests.map(|room| room.limit), Some(1));
}

#[test]
fn a_refusal_counts_nothing_and_names_the_longest_wait() {
    let quotas = [
        rate(Subject::Org {}, Unit::Requests, Window::Minute, 1),
        rate(Subject::Org {}, Unit::Requests, Window::Hour, 1),
        rate(Subject::Key { key: KeyId::from_uuid(uuid(2)) }, Unit::Requests, Window::Day, 5),
    ];
    let mut book = Book::default();
    assert!(admitted(&book.reserve(START_MS, &quotas, &caller(1), request(1), one(), TTL_MS)));
    drop(book.take_changes());
    let Decision::Refused(refused) = book.reserve(START_MS, &quotas, &caller(2), request(2), one(), TTL_MS)
    else {
        panic!("the org's only request is spent");
    };
    assert_eq!(refused.quota.label(), "org requests/hour");
    assert_eq!(book.take_changes(), Changes::default());
    assert!(book.reservation(request(2)).is_none());
}

#[test]
fn a_request_that_can_never_fit_has_no_retry_time() {
    let quotas = [rate(Subject::Org {}, Unit::OutputTokens, Window::Minute, 19)];
    let mut book = Book::default();
    let Decision::Refused(refused) = book.reserve(START_MS, &quotas, &caller(1), request(1), one(), TTL_MS)
    else {
        panic!("20 tokens never fit under 19");
    };
    assert_eq!(refused.retry_after_ms, None);
}
