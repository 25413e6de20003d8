//! The law of outcomes, row by row; and that it always comes to an end.

use super::*;
use proptest::prelude::*;

fn report(ending: Ending) -> Report {
    Report { limits_hit: vec![LimitKind::Pids], ..Report::of(ending) }
}

fn died(started: bool, host_healthy: bool) -> Ending {
    Ending::Died { started, host_healthy, message: "panic".into() }
}

fn answered(status: u16) -> Ending {
    Ending::Answered { status, request_id: None, retry_after_ms: None }
}

fn not_run() -> Ending {
    Ending::NotRun { code: "image_unavailable".into(), message: String::new() }
}

const FRESH: Facts =
    Facts { losses: 0, refusals: 0, crashes: 0, retries: 0, retried: 0, canceled: false, jitter: 1.0 };

#[test]
fn every_ending_has_its_meaning() {
    let again = |after_ms, because| Next::Again { after_ms, because };
    let rows = [
        (Ending::Exited { code: 0 }, Next::Done(Outcome::Passed)),
        (Ending::Exited { code: 1 }, Next::Done(Outcome::Failed)),
        (Ending::Exited { code: 137 }, Next::Done(Outcome::Failed)),
        (Ending::Signaled { signal: 9 }, Next::Done(Outcome::Failed)),
        (Ending::Limited { limit: LimitKind::Wall }, Next::Done(Outcome::Timeout)),
        (Ending::Limited { limit: LimitKind::Cpu }, Next::Done(Outcome::Timeout)),
        (Ending::Limited { limit: LimitKind::Memory }, Next::Done(Outcome::Memory)),
        (Ending::Limited { limit: LimitKind::Output }, Next::Done(Outcome::Output)),
        (Ending::Limited { limit: LimitKind::Pids }, Next::Done(Outcome::Failed)),
        (Ending::Limited { limit: LimitKind::Disk }, Next::Done(Outcome::Failed)),
        (died(true, true), again(1_000, Because::Crash)),
        (died(true, false), again(1_000, Because::Loss)),
        (died(false, true), again(1_000, Because::Loss)),
        (died(false, false), again(1_000, Because::Loss)),
        (not_run(), again(1_000, Because::Loss)),
        (Ending::Stopped, again(0, Because::Loss)),
        (Ending::Unanswered { message: String::new() }, again(1_000, Because::Loss)),
        (answered(200), Next::Done(Outcome::Passed)),
        (answered(201), Next::Done(Outcome::Passed)),
        (answered(302), Next::Done(Outcome::Failed)),
        (answered(400), Next::Done(Outcome::Failed)),
        (answered(404), Next::Done(Outcome::Failed)),
        (answered(408), again(1_000, Because::Refusal)),
        (answered(429), again(1_000, Because::Refusal)),
        (answered(500), again(1_000, Because::Refusal)),
        (answered(503), again(1_000, Because::Refusal)),
    ];
    for (ending, next) in rows {
        assert_eq!(after(&FRESH, &report(ending.clone())), next, "{ending:?}");
        let canceled = Facts { canceled: true, ..FRESH };
        assert_eq!(after(&canceled, &report(ending.clone())), Next::Canceled, "{ending:?}");
    }
    assert_eq!(after_lost_lease(&FRESH), again(0, Because::Loss));
    assert_eq!(after_lost_lease(&Facts { canceled: true, ..FRESH }), Next::Canceled);
}

#[test]
fn r14_and_r16_what_happens_too_often_is_parked_or_scored_and_never_excluded_as_ours() {
    let lost = |losses| after_lost_lease(&Facts { losses, ..FRESH });
    assert_eq!(lost(1), Next::Again { after_ms: 2_000, because: Because::Loss });
    assert_eq!(lost(2), Next::Dead { because: Because::Loss });
    let panics = |crashes, retries| after(&Facts { crashes, retries, ..FRESH }, &report(died(true, true)));
    assert_eq!(panics(1, 0), Next::Done(Outcome::Crashed));
    assert_eq!(panics(1, 1), Next::Again { after_ms: 1_000, because: Because::Retry });
    let busy = |refusals| after(&Facts { refusals, ..FRESH }, &report(answered(503)));
    assert_eq!(busy(REFUSALS_MAX - 1), Next::Dead { because: Because::Refusal });
}

#[test]
fn an_edge_that_says_when_is_asked_then() {
    let cases = [(Some(45_000), 45_000), (Some(10), 1_000), (Some(u64::MAX), 3_600_000), (None, 1_000)];
    for (retry_after_ms, after_ms) in cases {
        let busy = report(Ending::Answered { status: 429, request_id: None, retry_after_ms });
        assert_eq!(after(&FRESH, &busy), Next::Again { after_ms, because: Because::Refusal });
    }
}

#[test]
fn a_failing_outcome_is_tried_again_as_often_as_the_caller_wants() {
    let facts = Facts { retries: 2, ..FRESH };
    let failed = report(Ending::Exited { code: 1 });
    assert_eq!(after(&facts, &failed), Next::Again { after_ms: 1_000, because: Because::Retry });
    assert_eq!(after(&Facts { retried: 2, ..facts }, &failed), Next::Done(Outcome::Failed));
    assert_eq!(after(&facts, &report(Ending::Exited { code: 0 })), Next::Done(Outcome::Passed));
}

fn any_ending() -> impl Strategy<Value = Option<Ending>> {
    prop_oneof![
        Just(None),
        any::<i32>().prop_map(|code| Some(Ending::Exited { code: code.max(1) })),
        Just(Some(Ending::Limited { limit: LimitKind::Wall })),
        any::<(bool, bool)>().prop_map(|(started, healthy)| Some(died(started, healthy))),
        Just(Some(not_run())),
        Just(Some(Ending::Stopped)),
        (400..600_u16).prop_map(|status| Some(answered(status))),
    ]
}

/// Counts as the database does.
fn count(facts: &mut Facts, because: Because) {
    match because {
        Because::Loss => facts.losses += 1,
        Because::Refusal => facts.refusals += 1,
        Because::Crash => facts.crashes += 1,
        Because::Retry => {
            facts.retried += 1;
            facts.crashes = 0;
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_a_job_comes_to_an_end(
        endings in prop::collection::vec(any_ending(), 100),
        retries in 0..20_u32,
        jitter: f64,
    ) {
        let mut facts = Facts { retries, jitter, ..FRESH };
        // Every retry may be preceded by one crash; losses and refusals are counted over the job's whole life.
        let most = LOSSES_MAX + REFUSALS_MAX + CRASHES_MAX * (RETRIES_MAX + 1);
        for (attempts, ending) in endings.iter().enumerate() {
            prop_assert!(u32::try_from(attempts).unwrap() < most);
            let next = match ending {
                Some(ending) => after(&facts, &report(ending.clone())),
                None => after_lost_lease(&facts),
            };
            match next {
                Next::Again { after_ms, because } => {
                    prop_assert!(after_ms <= 60_000);
                    count(&mut facts, because);
                }
                Next::Done(outcome) => {
                    prop_assert!(outcome != Outcome::Infrastructure);
                    return Ok(());
                }
                Next::Dead { .. } => return Ok(()),
                Next::Canceled => prop_assert!(false, "nobody canceled"),
            }
        }
        prop_assert!(false, "it never ends");
    }

    #[test]
    fn a_backoff_lies_between_half_and_whole(before in 0..200_u32, jitter in 0.0..=1.0_f64) {
        let wait = backoff(before, jitter);
        let whole = backoff(before, 1.0);
        prop_assert!(wait * 2 >= whole && wait <= whole && whole <= BACKOFF_MAX);
        prop_assert!(backoff(before + 1, 0.0) * 2 >= backoff(before, 1.0));
    }
}
