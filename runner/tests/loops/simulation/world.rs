//! One seed, played from its first job until nothing moves any more.

use super::{
    fake::Tally,
    fleet::{self, TIMES, host},
    frozen::Gate,
    judge::judge,
    plan::{Deed, Plan, PlannedJob},
};
use crate::model::{Model, ledger::Event, server::Control};
use alphagate_contract::{
    id::JobId,
    job::{SampleSpec, dispatch::Work},
    secret::Secret,
};
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use turmoil::{Builder, Sim};

const TICK: Duration = Duration::from_millis(10);
/// What a seed may take; the longest that was seen took a third of it.
const LONGEST: Duration = Duration::from_secs(300);
/// After the last job has ended, lost sandboxes are killed and runners say what they have to say.
const SETTLING: Duration = Duration::from_secs(12);

/// What is left of a played seed.
pub struct Played {
    pub breaches: Vec<String>,
    pub events: Vec<Event>,
    pub took: Duration,
}

struct World<'a> {
    sim: Sim<'a>,
    control: Control,
    gates: Vec<Gate>,
    now_ms: Arc<AtomicU64>,
    jumped_ms: u64,
    plan: &'a Plan,
    jobs: Vec<JobId>,
}

/// Plays a plan.
pub fn play(plan: &Plan) -> Played {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut world = World::new(plan, &tally);
    let mut deeds = plan.deeds.iter().copied().peekable();
    let mut done_at = None;
    let mut breaches = Vec::new();
    loop {
        let elapsed = world.sim.elapsed();
        while let Some((_, deed)) = deeds.next_if(|(at_ms, _)| Duration::from_millis(*at_ms) <= elapsed) {
            world.perform(deed);
        }
        world.tell_time();
        if let Err(error) = world.sim.step() {
            breaches.push(format!("a host failed: {error}"));
            break;
        }
        let is_done = deeds.peek().is_none() && world.control.model.lock().unwrap().is_done();
        done_at = if is_done { done_at.or(Some(elapsed)) } else { None };
        if done_at.is_some_and(|at| elapsed > at + SETTLING) {
            break;
        }
        if elapsed > LONGEST {
            breaches.push(format!("something hangs: not done after {LONGEST:?}"));
            break;
        }
    }
    let World { sim, control, jobs, .. } = world;
    let took = sim.elapsed();
    let mut model = control.model.lock().unwrap();
    breaches.extend(judge(plan, &jobs, &model, &tally.lock().unwrap()));
    drop(sim);
    Played { breaches, events: std::mem::take(&mut model.ledger.events), took }
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, tally: &Arc<Mutex<Tally>>) -> Self {
        let mut sim = Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(TICK)
            .simulation_duration(2 * LONGEST)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(80))
            .tcp_capacity(4_096)
            .build();
        let now_ms = Arc::new(AtomicU64::new(plan.clock_off_ms));
        let clock = Arc::clone(&now_ms);
        let mut model = Model::new(TIMES, "http://edge");
        let jobs = plan.jobs.iter().map(|job| model.enqueue(work(job))).collect();
        let control = Control::new(model, move || clock.load(Ordering::Relaxed));
        fleet::add_control(&mut sim, &control);
        fleet::add_edge(&mut sim);
        let gates: Vec<Gate> = (0..plan.runners).map(|_| Gate::default()).collect();
        for (number, gate) in gates.iter().enumerate() {
            fleet::add_runner(&mut sim, number, plan.seed, gate, tally, &control.token);
        }
        Self { sim, control, gates, now_ms, jumped_ms: 0, plan, jobs }
    }

    /// Control's clock is off, goes too fast or too slow, and jumps.
    fn tell_time(&self) {
        let elapsed_ms = u64::try_from(self.sim.elapsed().as_millis()).unwrap();
        let shown_ms = elapsed_ms * self.plan.clock_per_mille / 1_000;
        self.now_ms.store(self.plan.clock_off_ms + shown_ms + self.jumped_ms, Ordering::Relaxed);
    }

    fn perform(&mut self, deed: Deed) {
        let sim = &mut self.sim;
        let known = |runner: usize| self.control.model.lock().unwrap().known_as(&host(runner));
        match deed {
            Deed::Partition(runner) => sim.partition(host(runner), "control"),
            Deed::Repair(runner) => sim.repair(host(runner), "control"),
            Deed::Hold(runner) => sim.hold(host(runner), "control"),
            Deed::Release(runner) => sim.release(host(runner), "control"),
            Deed::Freeze(runner) => self.gates[runner].freeze(),
            Deed::Thaw(runner) => self.gates[runner].thaw(),
            Deed::Crash(runner) => sim.crash(host(runner)),
            Deed::Bounce(runner) => sim.bounce(host(runner)),
            Deed::CrashControl => sim.crash("control"),
            Deed::BounceControl => sim.bounce("control"),
            Deed::Jump(by_ms) => self.jumped_ms += by_ms,
            Deed::Forget(runner) => {
                known(runner).into_iter().for_each(|id| self.control.change(|model| model.forget(id)));
            }
            Deed::Drain(runner) => {
                known(runner).into_iter().for_each(|id| self.control.change(|model| model.drain(id)));
            }
            Deed::Cancel(job) => self.control.change(|model| model.cancel(self.jobs[job])),
        }
    }
}

fn work(job: &PlannedJob) -> Work {
    if !job.is_sample {
        return job.script.work();
    }
    let body = json!({ "name": job.script.name, "wall_ms": job.script.wall_ms });
    let spec = SampleSpec { path: "/v1/responses".to_owned(), body, wall_ms: 15_000 };
    Work::Sample { spec, key: Secret::new("ag_test_key".to_owned()) }
}
