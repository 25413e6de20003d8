//! A model of control: the protocol's rules over a queue in memory, small enough to be read at one sitting.
//!
//! It is written from the contract alone, so that it can be compared with the real control. Rules: one attempt of a job
//! is current; only it may write, also after its lease, until another runner claims the job; a renewal makes it the
//! renewing runner's, and what a runner does not name it has not; three attempts lost to infrastructure park the job; two
//! deaths on healthy hosts are the subject's. Time is a parameter.

pub mod ledger;
pub mod server;

use alphagate_contract::{
    id::{AttemptId, JobId, RunnerId},
    job::{
        Ending, Kind, Outcome,
        dispatch::{
            AskCommands, Claimed, Commands, Finish, Held, Output, Register, Registered, Renew, Renewed,
            Slots, Work,
        },
    },
    problem::Code,
};
use alphagate_runner::scenario::Fate;
use ledger::{Event, Ledger};
use std::collections::BTreeMap;

const INFRASTRUCTURE_MAX: u32 = 3;
const DEATHS_MAX: u32 = 2;

/// The times that it tells its runners, and the first wait after a failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub lease_ms: u64,
    pub renew_ms: u64,
    pub poll_ms: u64,
    pub backoff_ms: u64,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub work: Work,
    pub state: State,
    pub attempts: u32,
    infrastructure: u32,
    deaths: u32,
    claimed_ms: u64,
    /// Whether a runner has named the current attempt.
    is_known: bool,
    pub cancel: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum State {
    Queued { not_before_ms: u64 },
    Running { attempt: AttemptId, runner: RunnerId, lease_until_ms: u64 },
    Ended(Fate),
}

#[derive(Debug, Clone)]
struct Known {
    name: String,
    seen_ms: u64,
    drain: bool,
    /// Whether it has said that it drains.
    drains: bool,
}

/// Control.
#[derive(Debug)]
pub struct Model {
    pub times: Times,
    pub edge_url: String,
    pub jobs: BTreeMap<JobId, Job>,
    runners: BTreeMap<RunnerId, Known>,
    pub ledger: Ledger,
    ids: u64,
}

type Refusable<T> = Result<T, Code>;

impl Model {
    pub fn new(times: Times, edge_url: &str) -> Self {
        let ledger = Ledger::default();
        Self {
            times,
            edge_url: edge_url.to_owned(),
            jobs: BTreeMap::new(),
            runners: BTreeMap::new(),
            ledger,
            ids: 0,
        }
    }

    fn id(&mut self) -> [u8; 10] {
        self.ids += 1;
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.ids.to_be_bytes());
        bytes
    }

    pub fn enqueue(&mut self, work: Work) -> JobId {
        let id = JobId::new(0, self.id());
        let state = State::Queued { not_before_ms: 0 };
        let (claimed_ms, is_known, cancel) = (0, false, false);
        let job =
            Job { work, state, attempts: 0, infrastructure: 0, deaths: 0, claimed_ms, is_known, cancel };
        self.jobs.insert(id, job);
        id
    }

    pub fn register(&mut self, now_ms: u64, register: &Register) -> Registered {
        let runner = RunnerId::new(0, self.id());
        self.runners.insert(
            runner,
            Known { name: register.name.clone(), seen_ms: now_ms, drain: false, drains: false },
        );
        let Times { lease_ms, renew_ms, poll_ms, .. } = self.times;
        Registered { runner, lease_ms, renew_ms, poll_ms, edge_url: self.edge_url.clone() }
    }

    /// Whether it is to drain. A runner that was silent for two leases is forgotten.
    fn see(&mut self, now_ms: u64, runner: RunnerId, renews: bool) -> Refusable<bool> {
        let silence_max_ms = 2 * self.times.lease_ms;
        let known = self.runners.get_mut(&runner).ok_or(Code::RunnerUnknown)?;
        if now_ms.saturating_sub(known.seen_ms) > silence_max_ms {
            self.runners.remove(&runner);
            return Err(Code::RunnerUnknown);
        }
        if renews {
            known.seen_ms = now_ms;
        }
        Ok(known.drain)
    }

    pub fn claim(&mut self, now_ms: u64, runner: RunnerId, free: Slots) -> Refusable<Vec<Claimed>> {
        if self.see(now_ms, runner, false)? {
            return Ok(vec![]);
        }
        self.sweep(now_ms);
        let mut claimed = Vec::new();
        for kind in [Kind::Sandbox, Kind::Sample] {
            let ready =
                self.jobs.iter().filter(|(_, job)| job.work.kind() == kind && job.is_ready(now_ms, runner));
            let ready: Vec<JobId> = ready.map(|(id, _)| *id).take(free.of(kind) as usize).collect();
            claimed.extend(ready.into_iter().map(|job| self.give(now_ms, runner, job)));
        }
        Ok(claimed)
    }

    fn give(&mut self, now_ms: u64, runner: RunnerId, id: JobId) -> Claimed {
        let attempt = AttemptId::new(0, self.id());
        let lease_until_ms = now_ms + self.times.lease_ms;
        let job = self.jobs.get_mut(&id).expect("it was just listed");
        if matches!(job.state, State::Running { .. }) {
            job.infrastructure += 1;
        }
        job.state = State::Running { attempt, runner, lease_until_ms };
        job.attempts += 1;
        (job.claimed_ms, job.is_known) = (now_ms, false);
        self.ledger.note(Event::Claimed { job: id, attempt, runner });
        Claimed { job: id, attempt, number: job.attempts, work: job.work.clone() }
    }

    /// A job whose last allowed attempt lost its lease is parked.
    fn sweep(&mut self, now_ms: u64) {
        for (id, job) in &mut self.jobs {
            let State::Running { lease_until_ms, .. } = job.state else { continue };
            if lease_until_ms < now_ms && (job.cancel || job.infrastructure + 1 >= INFRASTRUCTURE_MAX) {
                let fate = if job.cancel { Fate::Canceled } else { Fate::Ended(Outcome::Infrastructure) };
                job.state = State::Ended(fate);
                self.ledger.note(Event::Ended { job: *id, by: None });
            }
        }
    }

    pub fn renew(&mut self, now_ms: u64, runner: RunnerId, renew: &Renew) -> Refusable<Renewed> {
        self.see(now_ms, runner, true)?;
        let until_ms = now_ms + self.times.lease_ms;
        let mut lost = Vec::new();
        self.take_back(now_ms, runner, &renew.held);
        for held in &renew.held {
            self.ledger.note(Event::Heard { attempt: held.attempt });
            match self.current(held) {
                Some(State::Running { lease_until_ms, runner: of, .. }) => {
                    (*lease_until_ms, *of) = (until_ms, runner);
                }
                _ => lost.push(*held),
            }
        }
        Ok(Renewed { lost })
    }

    /// Half a lease after a claim the runner has its answer, or never will: what it does not name then, it has not.
    fn take_back(&mut self, now_ms: u64, runner: RunnerId, held: &[Held]) {
        let given_before_ms = now_ms.saturating_sub(self.times.lease_ms / 2);
        for (id, job) in &mut self.jobs {
            let State::Running { attempt, runner: of, .. } = job.state else { continue };
            let is_named = held.iter().any(|held| held.attempt == attempt);
            if of != runner || is_named || job.claimed_ms >= given_before_ms {
                continue;
            }
            job.state = match (job.is_known, job.cancel) {
                (_, true) => State::Ended(Fate::Canceled),
                (true, false) => job.again(now_ms, 0),
                (false, false) => State::Queued { not_before_ms: now_ms },
            };
            if matches!(job.state, State::Ended(_)) {
                self.ledger.note(Event::Ended { job: *id, by: None });
            }
        }
    }

    /// The job's state, if this attempt is current; its runner knows of it.
    fn current(&mut self, held: &Held) -> Option<&mut State> {
        let job = self.jobs.get_mut(&held.job)?;
        let is_current = matches!(job.state, State::Running { attempt, .. } if attempt == held.attempt);
        job.is_known |= is_current;
        is_current.then_some(&mut job.state)
    }

    pub fn commands(&mut self, now_ms: u64, runner: RunnerId, ask: &AskCommands) -> Refusable<Commands> {
        let drain = self.see(now_ms, runner, false)? && !ask.draining;
        if let Some(known) = self.runners.get_mut(&runner) {
            known.drains |= ask.draining;
        }
        let stop = self.jobs.iter().filter(|(_, job)| job.cancel).filter_map(|(id, job)| match job.state {
            State::Running { attempt, runner: of, .. } if of == runner && !ask.known.contains(&attempt) => {
                Some(Held { job: *id, attempt })
            }
            _ => None,
        });
        Ok(Commands { stop: stop.collect(), drain })
    }

    pub fn output(&mut self, now_ms: u64, runner: RunnerId, output: Output) -> Refusable<()> {
        self.see(now_ms, runner, false)?;
        self.ledger.note(Event::Heard { attempt: output.held.attempt });
        self.current(&output.held).ok_or(Code::AttemptSuperseded)?;
        self.ledger.append(output);
        Ok(())
    }

    pub fn finish(&mut self, now_ms: u64, runner: RunnerId, finish: Finish) -> Refusable<()> {
        self.see(now_ms, runner, false)?;
        let Finish { held, report } = finish;
        self.ledger.note(Event::Heard { attempt: held.attempt });
        if self.ledger.was_accepted(held.attempt) {
            return Ok(());
        }
        self.current(&held).ok_or(Code::AttemptSuperseded)?;
        let wait_ms = self.times.backoff_ms;
        let job = self.jobs.get_mut(&held.job).ok_or(Code::AttemptSuperseded)?;
        job.state = job.after(&report.ending, now_ms, wait_ms);
        let is_final = matches!(job.state, State::Ended(_));
        self.ledger.accept(held, report);
        if is_final {
            self.ledger.note(Event::Ended { job: held.job, by: Some(held.attempt) });
        }
        Ok(())
    }

    pub fn goodbye(&mut self, now_ms: u64, runner: RunnerId) {
        self.runners.remove(&runner);
        for job in self.jobs.values_mut() {
            match &mut job.state {
                State::Running { runner: of, lease_until_ms, .. } if *of == runner => {
                    *lease_until_ms = now_ms.saturating_sub(1);
                }
                _ => {}
            }
        }
        self.ledger.note(Event::Left { runner });
    }

    pub fn cancel(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.cancel = true;
        if matches!(job.state, State::Queued { .. }) {
            job.state = State::Ended(Fate::Canceled);
            self.ledger.note(Event::Ended { job: id, by: None });
        }
    }

    /// The operator asks every runner that is known to drain.
    pub fn drain(&mut self, runner: RunnerId) {
        if let Some(known) = self.runners.get_mut(&runner) {
            known.drain = true;
        }
    }

    /// The runner that last registered with this name.
    pub fn known_as(&self, name: &str) -> Option<RunnerId> {
        self.runners.iter().rfind(|(_, known)| known.name == name).map(|(id, _)| *id)
    }

    /// Whether the host's runner has asked for commands as one that drains.
    pub fn has_said_it_drains(&self, name: &str) -> bool {
        self.runners.values().any(|known| known.name == name && known.drains)
    }

    /// Forgets a runner, as if it had been silent for long.
    pub fn forget(&mut self, runner: RunnerId) {
        self.runners.remove(&runner);
    }

    pub fn is_done(&self) -> bool {
        self.jobs.values().all(|job| matches!(job.state, State::Ended(_)))
    }
}

impl Job {
    fn is_ready(&self, now_ms: u64, asker: RunnerId) -> bool {
        match self.state {
            State::Queued { not_before_ms } => not_before_ms <= now_ms,
            State::Running { lease_until_ms, runner, .. } => lease_until_ms < now_ms && runner != asker,
            State::Ended(_) => false,
        }
    }

    /// What follows after an attempt ended.
    fn after(&mut self, ending: &Ending, now_ms: u64, wait_ms: u64) -> State {
        let ended = |outcome| State::Ended(Fate::Ended(outcome));
        if self.cancel {
            return State::Ended(Fate::Canceled);
        }
        match ending {
            Ending::Exited { code: 0 } | Ending::Answered { status: 200, .. } => ended(Outcome::Passed),
            Ending::Exited { .. } | Ending::Signaled { .. } | Ending::Answered { .. } => {
                ended(Outcome::Failed)
            }
            Ending::Limited { .. } => ended(Outcome::Timeout),
            Ending::Stopped => State::Queued { not_before_ms: now_ms },
            Ending::Died { started: true, host_healthy: true, .. } => {
                self.deaths += 1;
                if self.deaths >= DEATHS_MAX { ended(Outcome::Crashed) } else { self.again(now_ms, wait_ms) }
            }
            Ending::Died { .. } | Ending::NotRun { .. } | Ending::Unanswered { .. } => {
                self.again(now_ms, wait_ms)
            }
        }
    }

    fn again(&mut self, now_ms: u64, wait_ms: u64) -> State {
        self.infrastructure += 1;
        if self.infrastructure >= INFRASTRUCTURE_MAX {
            return State::Ended(Fate::Ended(Outcome::Infrastructure));
        }
        State::Queued { not_before_ms: now_ms + (wait_ms << self.infrastructure) }
    }
}
