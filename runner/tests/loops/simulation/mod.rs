//! The runner's loops against a model of control, under everything that can go wrong between two machines.
//!
//! Hosts, network and time are simulated (turmoil); the loops, the output pump and the drain are the real ones; only the
//! sandboxes are stand-ins. A seed decides everything, so that a failure can be played again: `AG_SEED=17`. There are 100
//! seeds, or 1,000 with `AG_DEEP=1`.
//!
//! It can fail: each of these changes is caught by the first hundred seeds. A report that does not wait for its output;
//! output whose numbers begin anew after a failed batch; a model that takes reports of superseded attempts; renewals
//! that are not tried again before the next interval; a lost attempt whose sandbox is not stopped.

pub mod fake;
mod fleet;
mod frozen;
mod judge;
mod plan;
mod world;

use plan::Plan;
use std::{
    env, panic,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

const SEEDS: u64 = 100;
const SEEDS_DEEP: u64 = 1_000;

/// What is wrong with a seed, with everything that is needed to see it again.
fn faults(seed: u64) -> Option<String> {
    let plan = Plan::new(seed);
    let breaches = match panic::catch_unwind(|| world::play(&plan)) {
        Ok(played) => played.breaches,
        Err(_) => vec!["it panicked".to_owned()],
    };
    if breaches.is_empty() {
        return None;
    }
    let deeds: Vec<String> =
        plan.deeds.iter().map(|(at_ms, deed)| format!("  {at_ms} ms: {deed:?}")).collect();
    Some(format!("AG_SEED={seed}\n{}\nafter\n{}", breaches.join("\n"), deeds.join("\n")))
}

#[test]
fn whatever_goes_wrong_every_job_ends_exactly_once() {
    if let Some(seed) = env::var("AG_SEED").ok().and_then(|seed| seed.parse().ok()) {
        assert_eq!(faults(seed), None);
        return;
    }
    let seeds = if env::var("AG_DEEP").is_ok() { SEEDS_DEEP } else { SEEDS };
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    found.lock().unwrap().extend(faults(seed));
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{} of {seeds} seeds fail:\n{}", found.len(), found.join("\n\n"));
}

#[test]
fn a_seed_is_played_the_same_way_twice() {
    for seed in [1, 6, 11] {
        let plan = Plan::new(seed);
        let (first, second) = (world::play(&plan), world::play(&plan));
        assert_eq!(first.events, second.events, "seed {seed}");
        assert_eq!(first.took, second.took, "seed {seed}");
    }
}
