//! What runners may do to a job, as data: short scripts with what control must answer at each step.
//!
//! The same scripts are replayed against the simulation's model of control and, by HTTP, against the real one with its
//! database; where the two differ, one of them is wrong. A scenario has one job (a sandbox job, without retries of its
//! own) and runners numbered from 0; attempts are numbered from 1 in the order in which they are given out.

use alphagate_contract::job::{
    Bytes, Ending, Outcome,
    dispatch::{Chunk, Claimed, Held, Output, Stream},
};
use std::{collections::BTreeMap, future::Future};

/// What control says to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Taken, or taken before.
    Accepted,
    /// 409 `attempt_superseded`.
    Superseded,
}

/// What becomes of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It has this outcome, for good.
    Ended(Outcome),
    /// It was cancelled, for good.
    Canceled,
    /// It is queued or running.
    Open,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A runner asks once for jobs, and gets this attempt of the job, or nothing.
    Claim(u8, Option<u32>),
    /// A runner that works on nothing renews: it is alive.
    Idle(u8),
    /// The attempt's runner renews it; whether control says that it is lost.
    Renew(u32, bool),
    /// The attempt's runner appends this many chunks from this number on.
    Append(u32, u64, u8, Verdict),
    /// The attempt's runner reports.
    Finish(u32, Ending, Verdict),
    /// The runner asks for commands without knowing any; the attempts that it is told to stop.
    Commands(u8, Vec<u32>),
    /// The runner says goodbye.
    Leave(u8),
    /// Time passes until the current lease has run out.
    Lapse,
    /// Time passes until a job that waits after a failed attempt may be claimed again; leases hold.
    Rest,
    /// The caller cancels the job.
    Cancel,
    /// Control restarts; what it has stored stays.
    Restart,
}

/// A script, and what has become of the job at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// What it shows.
    pub name: &'static str,
    /// The steps.
    pub steps: Vec<Step>,
    /// The job at the end.
    pub fate: Fate,
}

/// A control that scenarios are played against, fresh and with one job.
pub trait Driver {
    /// Asks for jobs without waiting; registers the runner at its first use.
    fn claim(&mut self, runner: u8) -> impl Future<Output = Option<Claimed>>;
    /// Renews what the runner works on, if anything; whether control says that it is lost.
    fn renew(&mut self, runner: u8, held: Option<Held>) -> impl Future<Output = bool>;
    /// Appends output.
    fn append(&mut self, runner: u8, output: Output) -> impl Future<Output = Verdict>;
    /// Reports; the rest of the report is the driver's choice.
    fn finish(&mut self, runner: u8, held: Held, ending: Ending) -> impl Future<Output = Verdict>;
    /// Attempts to stop, when no stop is known.
    fn commands(&mut self, runner: u8) -> impl Future<Output = Vec<Held>>;
    /// Says goodbye.
    fn leave(&mut self, runner: u8) -> impl Future<Output = ()>;
    /// Lets the current lease run out.
    fn lapse(&mut self) -> impl Future<Output = ()>;
    /// Lets the wait after a failed attempt pass.
    fn rest(&mut self) -> impl Future<Output = ()>;
    /// Cancels the job.
    fn cancel(&mut self) -> impl Future<Output = ()>;
    /// Restarts control.
    fn restart(&mut self) -> impl Future<Output = ()>;
    /// What has become of the job.
    fn fate(&mut self) -> impl Future<Output = Fate>;
}

/// Plays a scenario.
///
/// # Errors
/// The first step whose answer is not the expected one, in words.
pub async fn play(scenario: &Scenario, driver: &mut impl Driver) -> Result<(), String> {
    let mut attempts = BTreeMap::new();
    for (at, step) in scenario.steps.iter().enumerate() {
        let result = one(step, driver, &mut attempts).await;
        result.map_err(|why| format!("{}: step {at}, {step:?}: {why}", scenario.name))?;
    }
    same(driver.fate().await, scenario.fate).map_err(|why| format!("{}: at the end: {why}", scenario.name))
}

async fn one(
    step: &Step,
    driver: &mut impl Driver,
    attempts: &mut BTreeMap<u32, (u8, Held)>,
) -> Result<(), String> {
    let of = |number: &u32| attempts.get(number).copied().ok_or_else(|| format!("no attempt {number} yet"));
    match step {
        Step::Claim(runner, expected) => {
            let claimed = driver.claim(*runner).await;
            if let (Some(Claimed { job, attempt, .. }), Some(number)) = (&claimed, expected) {
                attempts.insert(*number, (*runner, Held { job: *job, attempt: *attempt }));
            }
            same(claimed.is_some(), expected.is_some())
        }
        Step::Idle(runner) => same(driver.renew(*runner, None).await, false),
        Step::Renew(number, lost) => {
            let (runner, held) = of(number)?;
            same(driver.renew(runner, Some(held)).await, *lost)
        }
        Step::Append(number, first, count, expected) => {
            let (runner, held) = of(number)?;
            let chunks = (*first..).take(usize::from(*count)).map(chunk).collect();
            same(driver.append(runner, Output { held, first: *first, chunks }).await, *expected)
        }
        Step::Finish(number, ending, expected) => {
            let (runner, held) = of(number)?;
            same(driver.finish(runner, held, ending.clone()).await, *expected)
        }
        Step::Commands(runner, expected) => {
            let expected =
                expected.iter().map(|number| Ok(of(number)?.1)).collect::<Result<Vec<_>, String>>()?;
            same(driver.commands(*runner).await, expected)
        }
        Step::Leave(runner) => {
            driver.leave(*runner).await;
            Ok(())
        }
        Step::Lapse => {
            driver.lapse().await;
            Ok(())
        }
        Step::Rest => {
            driver.rest().await;
            Ok(())
        }
        Step::Cancel => {
            driver.cancel().await;
            Ok(())
        }
        Step::Restart => {
            driver.restart().await;
            Ok(())
        }
    }
}

/// The chunk with this number, the same in every attempt.
fn chunk(number: u64) -> Chunk {
    Chunk { stream: Stream::Stdout, data: Bytes(format!("line {number}\n").into_bytes()) }
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) }
}

/// Every scenario.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let mut all = ends();
    all.extend(takeovers());
    all.extend(losses());
    all
}

const OK: Verdict = Verdict::Accepted;
const LATE: Verdict = Verdict::Superseded;
const PASSED: Fate = Fate::Ended(Outcome::Passed);

const fn exited(code: i32) -> Ending {
    Ending::Exited { code }
}

fn died(host_healthy: bool) -> Ending {
    Ending::Died { started: true, host_healthy, message: "the sandbox is gone".to_owned() }
}

fn not_run() -> Ending {
    Ending::NotRun { code: "image_unavailable".to_owned(), message: "no such image here".to_owned() }
}

/// One runner that does what it should.
fn ends() -> Vec<Scenario> {
    use Step::{Append, Cancel, Claim, Commands, Finish, Renew, Restart};
    let claim = || Claim(0, Some(1));
    vec![
        Scenario {
            name: "a job that exits with 0 has passed",
            steps: vec![
                claim(),
                Append(1, 0, 0, OK),
                Append(1, 0, 2, OK),
                Renew(1, false),
                Finish(1, exited(0), OK),
            ],
            fate: PASSED,
        },
        Scenario {
            name: "a job that exits otherwise has failed, and is not tried again",
            steps: vec![claim(), Finish(1, exited(3), OK), Step::Rest, Claim(1, None)],
            fate: Fate::Ended(Outcome::Failed),
        },
        Scenario {
            name: "every request may be repeated",
            steps: vec![
                claim(),
                Append(1, 0, 2, OK),
                Append(1, 0, 2, OK),
                Append(1, 1, 2, OK),
                Finish(1, exited(0), OK),
                Finish(1, exited(0), OK),
            ],
            fate: PASSED,
        },
        Scenario {
            name: "a restart of control loses nothing",
            steps: vec![
                claim(),
                Append(1, 0, 1, OK),
                Restart,
                Append(1, 0, 1, OK),
                Append(1, 1, 1, OK),
                Renew(1, false),
                Claim(1, None),
                Finish(1, exited(0), OK),
                Restart,
                Finish(1, exited(0), OK),
            ],
            fate: PASSED,
        },
        Scenario {
            name: "a running job that is cancelled is stopped",
            steps: vec![
                claim(),
                Commands(0, vec![]),
                Cancel,
                Commands(0, vec![1]),
                Finish(1, Ending::Stopped, OK),
            ],
            fate: Fate::Canceled,
        },
        Scenario {
            name: "a queued job that is cancelled is never claimed",
            steps: vec![Cancel, Claim(0, None)],
            fate: Fate::Canceled,
        },
    ]
}

/// Leases that run out, and who may still write then.
fn takeovers() -> Vec<Scenario> {
    use Step::{Append, Claim, Finish, Idle, Lapse, Leave, Renew, Rest};
    let claim = || Claim(0, Some(1));
    vec![
        Scenario {
            name: "a late report counts if nobody took over",
            steps: vec![claim(), Lapse, Append(1, 0, 1, OK), Finish(1, exited(0), OK)],
            fate: PASSED,
        },
        Scenario {
            name: "a late renewal keeps the job",
            steps: vec![claim(), Lapse, Renew(1, false), Claim(1, None), Finish(1, exited(0), OK)],
            fate: PASSED,
        },
        Scenario {
            name: "after a takeover the first runner may write nothing",
            steps: vec![
                claim(),
                Append(1, 0, 1, OK),
                Lapse,
                Rest,
                Claim(1, Some(2)),
                Append(1, 1, 1, LATE),
                Renew(1, true),
                Finish(1, exited(3), LATE),
                Append(2, 0, 1, OK),
                Finish(2, exited(0), OK),
                Finish(1, exited(3), LATE),
            ],
            fate: PASSED,
        },
        Scenario {
            name: "a claim whose answer never arrived is given again to the only runner",
            steps: vec![claim(), Lapse, Idle(0), Rest, Claim(0, Some(2)), Finish(2, exited(0), OK)],
            fate: PASSED,
        },
        Scenario {
            name: "work that its runner dropped is given again to the only runner",
            steps: vec![
                claim(),
                Renew(1, false),
                Lapse,
                Idle(0),
                Rest,
                Claim(0, Some(2)),
                Finish(1, exited(3), LATE),
                Finish(2, exited(0), OK),
            ],
            fate: PASSED,
        },
        Scenario {
            name: "a runner that leaves gives its jobs back",
            steps: vec![claim(), Leave(0), Rest, Claim(1, Some(2)), Finish(2, exited(0), OK)],
            fate: PASSED,
        },
        Scenario {
            name: "a job that was stopped because its runner drains is done by another",
            steps: vec![
                claim(),
                Finish(1, Ending::Stopped, OK),
                Rest,
                Claim(1, Some(2)),
                Finish(2, exited(0), OK),
            ],
            fate: PASSED,
        },
    ]
}

/// Infrastructure that fails, and what is the subject's own.
fn losses() -> Vec<Scenario> {
    use Step::{Claim, Finish, Lapse, Rest};
    let thrice = |ending: fn() -> Ending| {
        let attempts = (1..=3).flat_map(|n| [Rest, Claim(0, Some(n)), Finish(n, ending(), OK)]);
        attempts.chain([Rest, Claim(0, None)]).collect()
    };
    vec![
        Scenario {
            name: "a job that loses three runners is parked",
            steps: vec![
                Claim(0, Some(1)),
                Lapse,
                Rest,
                Claim(1, Some(2)),
                Lapse,
                Rest,
                Claim(2, Some(3)),
                Lapse,
                Rest,
                Claim(3, None),
            ],
            fate: Fate::Ended(Outcome::Infrastructure),
        },
        Scenario {
            name: "a job that three runners cannot start is parked",
            steps: thrice(not_run),
            fate: Fate::Ended(Outcome::Infrastructure),
        },
        Scenario {
            name: "sandboxes that die on sick hosts are never the subject's",
            steps: thrice(|| died(false)),
            fate: Fate::Ended(Outcome::Infrastructure),
        },
        Scenario {
            name: "a sandbox that dies once on a healthy host is tried again",
            steps: vec![
                Claim(0, Some(1)),
                Finish(1, died(true), OK),
                Rest,
                Claim(1, Some(2)),
                Finish(2, exited(0), OK),
            ],
            fate: PASSED,
        },
        Scenario {
            name: "a sandbox that dies twice on healthy hosts is the subject's",
            steps: vec![
                Claim(0, Some(1)),
                Finish(1, died(true), OK),
                Rest,
                Claim(1, Some(2)),
                Finish(2, died(true), OK),
            ],
            fate: Fate::Ended(Outcome::Crashed),
        },
    ]
}
