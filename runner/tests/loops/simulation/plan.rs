//! What a seed means: the jobs, the runners and everything that goes wrong, and when. Pure.
//!
//! Every fourth seed is gentle: nothing in it is longer than a lease can bear, so that no attempt may be lost.

use super::{fake::Script, fleet::TIMES};
use alphagate_contract::job::{Ending, LimitKind, Outcome};
use alphagate_runner::scenario::Fate;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

/// Faults begin within this time.
const TROUBLE_MS: u64 = 20_000;
/// Longest trouble: longer than a lease, so that jobs change hands.
const LONG_MS: u64 = 12_000;

/// Something that is done to the world at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    Partition(usize),
    Repair(usize),
    Hold(usize),
    Release(usize),
    Freeze(usize),
    Thaw(usize),
    Crash(usize),
    Bounce(usize),
    CrashControl,
    BounceControl,
    /// The clock of control's database is set forward by this much, milliseconds.
    Jump(u64),
    /// Control forgets the runner.
    Forget(usize),
    Drain(usize),
    Cancel(usize),
}

#[derive(Debug, Clone)]
pub struct PlannedJob {
    pub script: Script,
    pub is_sample: bool,
    /// What becomes of it if infrastructure does not fail thrice and nobody cancels it.
    pub fate: Fate,
}

/// What a seed means.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub is_gentle: bool,
    pub runners: usize,
    pub jobs: Vec<PlannedJob>,
    /// By time in milliseconds.
    pub deeds: Vec<(u64, Deed)>,
    /// How far control's clock is off at the start, milliseconds, and how fast it goes, per mille of a second.
    pub clock_off_ms: u64,
    pub clock_per_mille: u64,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let is_gentle = seed.is_multiple_of(4);
        let runners = random.random_range(2..=3);
        let count = random.random_range(6..=14_u32);
        let jobs: Vec<PlannedJob> = (0..count).map(|number| job(&mut random, number, is_gentle)).collect();
        let mut deeds = Vec::new();
        for number in 0..random.random_range(1..=8) {
            let more = if is_gentle {
                gentle(&mut random, runners, number)
            } else {
                rough(&mut random, runners, count)
            };
            deeds.extend(more);
        }
        for (number, _) in jobs.iter().enumerate().filter(|(_, job)| job.script.is_endless) {
            deeds.push((random.random_range(TROUBLE_MS..2 * TROUBLE_MS), Deed::Cancel(number)));
        }
        deeds.sort_unstable();
        let clock_off_ms = random.random_range(1_000_000..2_000_000);
        let clock_per_mille = random.random_range(950..=1_050);
        Self { seed, is_gentle, runners, jobs, deeds, clock_off_ms, clock_per_mille }
    }

    /// Whether the job may have been cancelled.
    pub fn is_cancelled(&self, job: usize) -> bool {
        self.deeds.iter().any(|(_, deed)| *deed == Deed::Cancel(job))
    }
}

fn job(random: &mut SmallRng, name: u32, is_gentle: bool) -> PlannedJob {
    let died = |host_healthy| Ending::Died { started: true, host_healthy, message: String::new() };
    let ended = Fate::Ended;
    let exited = |code| Ending::Exited { code };
    let (endings, fate) = match random.random_range(0..if is_gentle { 4 } else { 8 }) {
        0 => (vec![exited(1)], ended(Outcome::Failed)),
        1 => (vec![Ending::Limited { limit: LimitKind::Wall }], ended(Outcome::Timeout)),
        4 => (vec![died(true), exited(0)], ended(Outcome::Passed)),
        5 => (vec![died(false), exited(1)], ended(Outcome::Failed)),
        6 => (vec![died(true)], ended(Outcome::Crashed)),
        _ => (vec![exited(0)], ended(Outcome::Passed)),
    };
    let is_sample = random.random_ratio(1, 4);
    let script = Script {
        name,
        wall_ms: random.random_range(10..6_000),
        is_endless: !is_sample && random.random_ratio(1, 8),
        chunks: random.random_range(0..12),
        chunk_bytes: random.random_range(1..300),
        endings,
    };
    PlannedJob { script, is_sample, fate: if is_sample { ended(Outcome::Passed) } else { fate } }
}

/// Trouble that is over before a lease that was just renewed can run out.
/// A lease lies between one trouble and the next.
fn gentle(random: &mut SmallRng, runners: usize, number: u64) -> Vec<(u64, Deed)> {
    let at_ms = number * 2 * TIMES.lease_ms + random.random_range(500..TIMES.lease_ms / 2);
    let until_ms = at_ms + random.random_range(100..=TIMES.lease_ms / 3);
    let runner = random.random_range(0..runners);
    let (begin, end) = match random.random_range(0..3) {
        0 => (Deed::Partition(runner), Deed::Repair(runner)),
        1 => (Deed::Hold(runner), Deed::Release(runner)),
        _ => (Deed::Freeze(runner), Deed::Thaw(runner)),
    };
    vec![(at_ms, begin), (until_ms, end)]
}

fn rough(random: &mut SmallRng, runners: usize, jobs: u32) -> Vec<(u64, Deed)> {
    let at_ms = random.random_range(200..TROUBLE_MS);
    let until_ms = at_ms + random.random_range(100..=LONG_MS);
    let runner = random.random_range(0..runners);
    let (begin, end) = match random.random_range(0..11) {
        0 | 1 => (Deed::Partition(runner), Deed::Repair(runner)),
        2 => (Deed::Hold(runner), Deed::Release(runner)),
        3 | 4 => (Deed::Freeze(runner), Deed::Thaw(runner)),
        5 | 6 => (Deed::Crash(runner), Deed::Bounce(runner)),
        7 => (Deed::CrashControl, Deed::BounceControl),
        8 => (Deed::Drain(runner), Deed::Bounce(runner)),
        9 => return vec![(at_ms, Deed::Cancel(random.random_range(0..jobs) as usize))],
        _ => {
            let jump = Deed::Jump(random.random_range(1..2 * TIMES.lease_ms));
            return vec![(at_ms, jump), (until_ms, Deed::Forget(runner))];
        }
    };
    vec![(at_ms, begin), (until_ms, end)]
}
