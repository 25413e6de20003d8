//! The scenarios that are played against the real control are played against the model as well: the simulation's rules
//! are control's.

use crate::model::{Model, State, Times};
use alphagate_contract::{
    id::{JobId, RunnerId},
    job::{
        Ending, Isolation, Report, SampleSpec,
        dispatch::{AskCommands, Claimed, Finish, Held, Output, Register, Renew, Slots, Work},
    },
    problem::Code,
    secret::Secret,
};
use alphagate_runner::scenario::{self, Driver, Fate, Verdict};
use std::collections::BTreeMap;

const TIMES: Times = Times { lease_ms: 6_000, renew_ms: 2_000, poll_ms: 1_000, backoff_ms: 100 };
const SLOTS: Slots = Slots { sandbox: 4, sample: 4 };

struct Modelled {
    model: Model,
    job: JobId,
    now_ms: u64,
    runners: BTreeMap<u8, RunnerId>,
}

impl Modelled {
    fn new() -> Self {
        let mut model = Model::new(TIMES, "http://edge");
        let spec = SampleSpec { path: String::new(), body: serde_json::Value::Null, wall_ms: 1 };
        let job = model.enqueue(Work::Sample { spec, key: Secret::new(String::new()) });
        Self { model, job, now_ms: 1_000_000, runners: BTreeMap::new() }
    }

    fn runner(&mut self, number: u8) -> RunnerId {
        let offer = Register {
            name: number.to_string(),
            labels: vec![],
            slots: SLOTS,
            version: String::new(),
            engine: String::new(),
            weak: false,
            images: vec![],
        };
        let (model, now_ms) = (&mut self.model, self.now_ms);
        *self.runners.entry(number).or_insert_with(|| model.register(now_ms, &offer).runner)
    }
}

fn verdict(result: Result<(), Code>) -> Verdict {
    match result {
        Ok(()) => Verdict::Accepted,
        Err(Code::AttemptSuperseded) => Verdict::Superseded,
        Err(code) => panic!("{code:?}"),
    }
}

impl Driver for Modelled {
    async fn claim(&mut self, runner: u8) -> Option<Claimed> {
        let runner = self.runner(runner);
        self.model.claim(self.now_ms, runner, SLOTS).unwrap().pop()
    }

    async fn renew(&mut self, runner: u8, held: Option<Held>) -> bool {
        let runner = self.runner(runner);
        let renew = Renew { held: held.into_iter().collect() };
        !self.model.renew(self.now_ms, runner, &renew).unwrap().lost.is_empty()
    }

    async fn append(&mut self, runner: u8, output: Output) -> Verdict {
        let runner = self.runner(runner);
        verdict(self.model.output(self.now_ms, runner, output))
    }

    async fn finish(&mut self, runner: u8, held: Held, ending: Ending) -> Verdict {
        let runner = self.runner(runner);
        let report = Report { isolation: Some(Isolation::default()), ..Report::of(ending) };
        verdict(self.model.finish(self.now_ms, runner, Finish { held, report }))
    }

    async fn commands(&mut self, runner: u8) -> Vec<Held> {
        let runner = self.runner(runner);
        self.model.commands(self.now_ms, runner, &AskCommands::default()).unwrap().stop
    }

    async fn leave(&mut self, runner: u8) {
        let runner = self.runner(runner);
        self.model.goodbye(self.now_ms, runner);
    }

    async fn lapse(&mut self) {
        self.now_ms += TIMES.lease_ms + 1;
    }

    async fn rest(&mut self) {
        self.now_ms += TIMES.lease_ms / 2;
    }

    async fn cancel(&mut self) {
        self.model.cancel(self.job);
    }

    async fn restart(&mut self) {}

    async fn fate(&mut self) -> Fate {
        match self.model.jobs[&self.job].state {
            State::Ended(fate) => fate,
            State::Queued { .. } | State::Running { .. } => Fate::Open,
        }
    }
}

#[tokio::test]
async fn the_model_plays_every_scenario() {
    let mut wrong = Vec::new();
    for scenario in scenario::all() {
        wrong.extend(scenario::play(&scenario, &mut Modelled::new()).await.err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
