//! The runner against a control in this process, over real sockets: what it does when control fails, forgets, loses or
//! stops, and how it leaves.

mod samples;
pub mod stand;

use crate::{
    model::{
        Model, State,
        ledger::Event,
        server::Fault::{After, Instead},
    },
    simulation::fake::Script,
};
use alphagate_contract::job::{Ending, Outcome, Report, SandboxSpec, dispatch::Stream};
use alphagate_runner::{
    drain::Departure, execute::Sink as _, executor::Executor, pump::OutputSink, scenario::Fate,
};
use futures_util::future::BoxFuture;
use stand::{Stand, endless, exits, in_time};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

fn has_ended(model: &Model, fate: Fate) -> bool {
    model.jobs.values().all(|job| job.state == State::Ended(fate))
}

const PASSED: Fate = Fate::Ended(Outcome::Passed);

/// Reports that counted.
fn accepted(model: &Model) -> usize {
    model.ledger.events.iter().filter(|event| matches!(event, Event::Accepted { .. })).count()
}

fn has_left(model: &Model) -> bool {
    model.ledger.events.iter().any(|event| matches!(event, Event::Left { .. }))
}

fn is_running(model: &Model) -> bool {
    model.jobs.values().any(|job| matches!(job.state, State::Running { .. }))
}

/// User code has started.
fn has_started(model: &Model) -> bool {
    model.jobs.values().any(|job| match job.state {
        State::Running { attempt, .. } => model.ledger.has_started(attempt),
        _ => false,
    })
}

fn only_report(stand: &Stand) -> Report {
    let model = stand.control.model.lock().unwrap();
    assert_eq!(model.ledger.reports.len(), 1);
    model.ledger.reports.values().next().unwrap().clone()
}

#[tokio::test]
async fn more_jobs_than_slots_are_all_done_with_every_byte_of_their_output() {
    let stand = Stand::new().await;
    let jobs = 7;
    (0..jobs).for_each(|name| {
        stand.enqueue(&Script { name, ..exits(0) });
    });
    let _runner = stand.start();
    stand.until_done().await;
    let model = stand.control.model.lock().unwrap();
    assert!(has_ended(&model, PASSED));
    assert_eq!((accepted(&model), model.ledger.breaches.len()), (7, 0));
    let wrote = model.ledger.reports.keys().map(|attempt| model.ledger.bytes(*attempt, Stream::Stdout));
    let wrote: BTreeSet<_> = wrote.collect();
    assert_eq!(wrote, (0..jobs).map(|name| Script { name, ..exits(0) }.stdout()).collect());
    assert_eq!(stand.tally.lock().unwrap().most[&0], 2);
}

#[tokio::test]
async fn every_call_is_tried_again_and_a_repeated_report_counts_once() {
    let stand = Stand::new().await;
    for verb in ["register", "claim", "renew", "commands", "output", "finish"] {
        stand.control.fail(verb, [Instead(503), After(500)]);
    }
    stand.enqueue(&exits(3));
    let _runner = stand.start();
    stand.until_done().await;
    let model = stand.control.model.lock().unwrap();
    assert!(model.ledger.breaches.is_empty(), "{:?}", model.ledger.breaches);
    let attempts: Vec<_> = model.ledger.reports.keys().copied().collect();
    let whole = attempts.iter().filter(|at| model.ledger.bytes(**at, Stream::Stdout) == exits(3).stdout());
    assert_eq!((accepted(&model), whole.count()), (1, 1));
}

#[tokio::test]
async fn a_lost_attempt_is_killed_and_nothing_is_reported() {
    let stand = Stand::new().await;
    let job = stand.enqueue(&endless());
    let _runner = stand.start();
    stand.until("start", has_started).await;
    stand.control.change(|model| model.jobs.get_mut(&job).unwrap().state = State::Ended(Fate::Canceled));
    // Its slots take other work: both of them.
    let others = [2, 3].map(|name| stand.enqueue(&Script { name, ..endless() }));
    stand
        .until("second start", |model| {
            others.iter().all(|job| matches!(model.jobs[job].state, State::Running { .. }))
        })
        .await;
    let model = stand.control.model.lock().unwrap();
    assert_eq!(accepted(&model), 0);
    assert_eq!(stand.tally.lock().unwrap().most[&0], 2);
}

#[tokio::test]
async fn a_cancelled_job_is_stopped_and_keeps_what_it_wrote() {
    let stand = Stand::new().await;
    let job = stand.enqueue(&endless());
    let _runner = stand.start();
    stand.until("start", has_started).await;
    stand.control.change(|model| model.cancel(job));
    stand.until_done().await;
    assert_eq!(only_report(&stand).ending, Ending::Stopped);
    assert!(has_ended(&stand.control.model.lock().unwrap(), Fate::Canceled));
}

#[tokio::test]
async fn a_forgotten_runner_registers_again_and_keeps_its_work() {
    let stand = Stand::new().await;
    let job = stand.enqueue(&endless());
    let _runner = stand.start();
    stand.until("start", has_started).await;
    let known = |model: &Model| model.known_as("host");
    let first = known(&stand.control.model.lock().unwrap()).unwrap();
    stand.control.change(|model| model.forget(first));
    stand
        .until("renewal by the same host", |model| match model.jobs[&job].state {
            State::Running { runner, .. } => runner != first && known(model) == Some(runner),
            _ => panic!("the work was dropped"),
        })
        .await;
    stand.control.change(|model| model.cancel(job));
    stand.until_done().await;
    assert_eq!(
        (only_report(&stand).ending, stand.control.model.lock().unwrap().jobs[&job].attempts),
        (Ending::Stopped, 1)
    );
}

#[tokio::test]
async fn draining_finishes_what_is_held_and_takes_nothing_more() {
    let stand = Stand::new().await;
    let held = stand.enqueue(&exits(0));
    // The report does not get through until the runner drains.
    stand.control.fail("finish", (0..1_000).map(|_| Instead(503)));
    let runner = stand.start();
    stand.until("start", has_started).await;
    stand.orders.drain.cancel();
    let late = stand.enqueue(&exits(0));
    stand.control.faults.lock().unwrap().clear();
    let departure = in_time("departure", runner).await.unwrap().unwrap();
    let model = stand.control.model.lock().unwrap();
    assert_eq!((departure, has_left(&model)), (Departure::Drained, true));
    assert_eq!(model.jobs[&held].state, State::Ended(PASSED));
    // A poll under way may have been answered with it, but then it was given back unseen.
    assert_eq!((accepted(&model), stand.tally.lock().unwrap().live()), (1, 0));
    assert!(!matches!(model.jobs[&late].state, State::Ended(_)) && stand.tally.lock().unwrap().runs() == 1);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_stopped_and_given_back() {
    let mut stand = Stand::new().await;
    stand.drain_max = Duration::from_millis(100);
    stand.enqueue(&endless());
    let runner = stand.start();
    stand.until("start", has_started).await;
    stand.orders.drain.cancel();
    assert_eq!(in_time("departure", runner).await.unwrap().unwrap(), Departure::Stopped);
    assert_eq!(only_report(&stand).ending, Ending::Stopped);
    let model = stand.control.model.lock().unwrap();
    assert!(!is_running(&model) && !model.is_done(), "it was not given back");
}

#[tokio::test]
async fn leaving_at_once_kills_everything_and_reports_nothing() {
    let stand = Stand::new().await;
    stand.enqueue(&endless());
    let runner = stand.start();
    stand.until("start", has_started).await;
    stand.orders.drain.cancel();
    stand.orders.at_once.cancel();
    assert_eq!(in_time("departure", runner).await.unwrap().unwrap(), Departure::AtOnce);
    let model = stand.control.model.lock().unwrap();
    assert_eq!((accepted(&model), has_left(&model), stand.tally.lock().unwrap().live()), (0, true, 0));
}

#[tokio::test]
async fn control_can_make_a_runner_leave() {
    let stand = Stand::new().await;
    let runner = stand.start();
    stand.until("registration", |model| model.known_as("host").is_some()).await;
    stand.control.change(|model| {
        let id = model.known_as("host").unwrap();
        model.drain(id);
    });
    assert_eq!(in_time("departure", runner).await.unwrap().unwrap(), Departure::Drained);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_ends_the_program() {
    let mut stand = Stand::new().await;
    stand.control.token = "another".to_owned();
    stand.url = stand::listen(stand.control.clone()).await;
    stand.control.token = "ag-runner-token".to_owned();
    let refused = in_time("end", stand.start()).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("invalid_api_key"), "{refused}");
}

#[tokio::test]
async fn a_report_that_control_will_not_take_is_replaced_by_one_that_says_so() {
    let stand = Stand::new().await;
    stand.control.fail("finish", [Instead(413)]);
    stand.enqueue(&exits(0));
    let _runner = stand.start();
    stand.until("report", |model| accepted(model) == 1).await;
    let report = stand.control.model.lock().unwrap().ledger.reports.values().next().unwrap().clone();
    assert!(matches!(report.ending, Ending::NotRun { code, .. } if code == "report_refused"));
}

/// Panics at its first job.
struct Broken(AtomicBool);

impl Executor for Broken {
    fn execute<'a>(
        &'a self,
        _: &'a SandboxSpec,
        _: &'a mut OutputSink,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Report> {
        Box::pin(async {
            assert!(self.0.swap(true, Ordering::Relaxed), "as the test wants");
            report(Ending::Exited { code: 0 })
        })
    }
}

fn report(ending: Ending) -> Report {
    serde_json::from_value(serde_json::json!({ "ending": ending })).unwrap()
}

#[tokio::test]
async fn a_panic_costs_one_attempt_and_no_slot() {
    let stand = Stand::new().await;
    stand.enqueue(&exits(0));
    let _runner = stand.start_with(Arc::new(Broken(AtomicBool::new(false))));
    stand.until_done().await;
    let model = stand.control.model.lock().unwrap();
    let endings: Vec<_> = model.ledger.reports.values().map(|report| report.ending.clone()).collect();
    assert!(
        matches!(&endings[..], [Ending::NotRun { code, .. }, Ending::Exited { code: 0 }] if code == "runner_failed")
    );
}

/// Writes without end, as fast as it may, until it has written so much.
#[derive(Default)]
struct Flood {
    written: AtomicUsize,
}

const FLOOD_BYTES: usize = 24 * 1024 * 1024;
const PIECE_BYTES: usize = 64 * 1024;

impl Executor for Flood {
    fn execute<'a>(
        &'a self,
        _: &'a SandboxSpec,
        sink: &'a mut OutputSink,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            for number in 0..FLOOD_BYTES / PIECE_BYTES {
                sink.output(Stream::Stdout, vec![u8::try_from(number % 251).unwrap(); PIECE_BYTES]).await;
                self.written.fetch_add(PIECE_BYTES, Ordering::Relaxed);
            }
            report(Ending::Exited { code: 0 })
        })
    }
}

#[tokio::test]
async fn a_slow_control_holds_the_job_back_and_fills_no_memory() {
    let stand = Stand::new().await;
    let tries = 5;
    stand.control.fail("output", (0..tries).map(|_| Instead(503)));
    stand.enqueue(&exits(0));
    let flood = Arc::new(Flood::default());
    let _runner = stand.start_with(Arc::clone(&flood) as _);
    // The waits between the tries add up to more than half a second: a job that is not held back is long done.
    let faults = Arc::clone(&stand.control.faults);
    stand.until("failed batches", |_| faults.lock().unwrap()["output"].is_empty()).await;
    assert!(flood.written.load(Ordering::Relaxed) <= 4 * 1024 * 1024);
    stand.until_done().await;
    let model = stand.control.model.lock().unwrap();
    let attempt = *model.ledger.reports.keys().next().unwrap();
    let expected: Vec<u8> = (0..FLOOD_BYTES / PIECE_BYTES)
        .flat_map(|number| [u8::try_from(number % 251).unwrap(); PIECE_BYTES])
        .collect();
    assert!(
        model.ledger.bytes(attempt, Stream::Stdout) == expected,
        "some bytes are missing or out of order"
    );
}
