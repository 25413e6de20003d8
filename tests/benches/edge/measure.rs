//! The rounds: every subject's turn in every one of them.

use super::{
    client::{self, Times, count, no_times},
    plan::{LOADS, Load, Plan},
    script::Asked,
    subject::{Door, Kind, Subject},
};
use anyhow::Result;
use std::time::Duration;
use tokio::{task::JoinSet, time::sleep};

/// Connections that fill memory.
const MEMORY_CONNECTIONS: usize = 16;
/// Streams that are left at once.
const LEAVING: usize = 8;
/// From the last request to a look at memory: what is settled after an answer is settled then.
const SETTLED: Duration = Duration::from_secs(2);

/// One load of one subject.
#[derive(Debug)]
pub struct Loaded {
    pub times: Times,
    pub failures: u64,
    pub elapsed: Duration,
    pub cpu: Duration,
}

/// The streams of one subject, in one protocol of the provider.
#[derive(Debug)]
pub struct Streams {
    /// To the first byte.
    pub first: Times,
    /// From the provider's write to the client's read.
    pub delays: Times,
    pub bulk_events: usize,
    pub bulk_elapsed: Duration,
    pub bulk_cpu: Duration,
    pub paced_events: usize,
    pub paced_cpu: Duration,
    pub failures: u64,
}

/// Resident memory, bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub before: u64,
    /// After the first half of the requests: heaps have grown to their size by then.
    pub after_half: u64,
    pub after_requests: u64,
    pub after_aborts: u64,
    /// How many requests there were.
    pub requests: u64,
}

/// Everything of one subject.
#[derive(Debug)]
pub struct Measured {
    pub kind: Kind,
    pub loads: Vec<Loaded>,
    pub native: Streams,
    pub translated: Option<Streams>,
    pub memory: Option<Memory>,
    /// What the first failure said.
    pub why: Option<String>,
}

impl Measured {
    fn new(subject: &Subject) -> Self {
        let loads = LOADS.iter().map(|_| Loaded::new()).collect();
        let translated = subject.translated.as_ref().map(|_| Streams::new());
        Self { kind: subject.kind, loads, native: Streams::new(), translated, memory: None, why: None }
    }

    /// Answers and streams that did not come as they should.
    pub fn failures(&self) -> u64 {
        let streams = [Some(&self.native), self.translated.as_ref()];
        self.loads.iter().map(|load| load.failures).sum::<u64>()
            + streams.into_iter().flatten().map(|streams| streams.failures).sum::<u64>()
    }

    fn failed(&mut self, error: &anyhow::Error) {
        self.why.get_or_insert_with(|| format!("{error:#}"));
    }
}

impl Loaded {
    fn new() -> Self {
        Self { times: no_times(), failures: 0, elapsed: Duration::ZERO, cpu: Duration::ZERO }
    }
}

impl Streams {
    fn new() -> Self {
        Self {
            first: no_times(),
            delays: no_times(),
            bulk_events: 0,
            bulk_elapsed: Duration::ZERO,
            bulk_cpu: Duration::ZERO,
            paced_events: 0,
            paced_cpu: Duration::ZERO,
            failures: 0,
        }
    }
}

/// Measures all of them.
pub async fn all(subjects: &[Subject], plan: &Plan) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = subjects.iter().map(Measured::new).collect();
    for subject in subjects {
        println!("warming up: {}", subject.kind.name());
        let _ =
            client::ask(&subject.door, 1_024, MEMORY_CONNECTIONS, plan.warm_up, plan.slice_requests).await;
    }
    for round in 1..=plan.rounds {
        for (index, load) in LOADS.iter().enumerate() {
            println!("round {round} of {}: {}, {} at once", plan.rounds, load.size, load.connections);
            for (subject, measured) in subjects.iter().zip(&mut measured) {
                if let Err(error) = one_load(subject, load, index, plan, measured).await {
                    measured.failed(&error);
                }
            }
        }
        println!("round {round} of {}: streams", plan.rounds);
        for (subject, measured) in subjects.iter().zip(&mut measured) {
            one_turn_of_streams(subject, plan, measured).await;
        }
    }
    for (subject, measured) in subjects.iter().zip(&mut measured) {
        if subject.meter.is_some() {
            println!("memory: {}", subject.kind.name());
            match memory(subject, plan).await {
                Ok(memory) => measured.memory = memory,
                Err(error) => measured.failed(&error),
            }
        }
    }
    Ok(measured)
}

fn cpu(subject: &Subject) -> Duration {
    subject.meter.as_ref().map_or(Duration::ZERO, super::meter::Meter::cpu)
}

async fn one_load(
    subject: &Subject,
    load: &Load,
    index: usize,
    plan: &Plan,
    measured: &mut Measured,
) -> Result<()> {
    let before = cpu(subject);
    let asked =
        client::ask(&subject.door, load.bytes, load.connections, plan.slice, plan.slice_requests).await?;
    let used = cpu(subject).saturating_sub(before);
    measured.why = measured.why.take().or(asked.why);
    if let Some(loaded) = measured.loads.get_mut(index) {
        loaded.times.add(&asked.times)?;
        loaded.failures += asked.failures;
        loaded.elapsed += asked.elapsed;
        loaded.cpu += used;
    }
    Ok(())
}

async fn one_turn_of_streams(subject: &Subject, plan: &Plan, measured: &mut Measured) {
    let mut why = None;
    if let Err(error) = streams(subject, &subject.door, plan, &mut measured.native).await {
        measured.native.failures += 1;
        why = Some(error);
    }
    if let (Some(door), Some(translated)) = (&subject.translated, &mut measured.translated)
        && let Err(error) = streams(subject, door, plan, translated).await
    {
        translated.failures += 1;
        why = Some(error);
    }
    if let Some(error) = why {
        measured.failed(&error);
    }
}

async fn streams(subject: &Subject, door: &Door, plan: &Plan, into: &mut Streams) -> Result<()> {
    for _ in 0..plan.short_streams {
        count(&mut into.first, client::stream(door, Asked::Short, plan.bulk_max).await?.first);
    }
    let before = cpu(subject);
    let bulk = client::stream(door, Asked::Bulk, plan.bulk_max).await?;
    into.bulk_cpu += cpu(subject).saturating_sub(before);
    into.bulk_events += bulk.events;
    into.bulk_elapsed += bulk.elapsed;
    let before = cpu(subject);
    let mut tasks = JoinSet::new();
    for _ in 0..plan.paced_streams {
        let door = door.clone();
        tasks.spawn(async move { client::stream(&door, Asked::Paced, super::plan::FIRST_ANSWER_MAX).await });
    }
    while let Some(done) = tasks.join_next().await {
        let paced = done??;
        into.paced_events += paced.events;
        into.delays.add(&paced.delays)?;
    }
    into.paced_cpu += cpu(subject).saturating_sub(before);
    Ok(())
}

/// Weighs a subject that is warm, after many requests, and after many streams whose callers left.
async fn memory(subject: &Subject, plan: &Plan) -> Result<Option<Memory>> {
    let Some(meter) = &subject.meter else { return Ok(None) };
    let before = meter.resident_bytes();
    let (max, requests) = (plan.memory_max / 2, plan.memory_requests / 2);
    let first = client::ask(&subject.door, 1_024, MEMORY_CONNECTIONS, max, requests).await?;
    sleep(SETTLED).await;
    let after_half = meter.resident_bytes();
    let second = client::ask(&subject.door, 1_024, MEMORY_CONNECTIONS, max, requests).await?;
    sleep(SETTLED).await;
    let after_requests = meter.resident_bytes();
    for _ in 0..plan.aborted_streams.div_ceil(LEAVING) {
        let mut tasks = JoinSet::new();
        for _ in 0..LEAVING {
            let door = subject.door.clone();
            tasks.spawn(async move { client::leave(&door).await });
        }
        while let Some(left) = tasks.join_next().await {
            left??;
        }
    }
    sleep(SETTLED).await;
    let after_aborts = meter.resident_bytes();
    let requests = first.times.len() + second.times.len();
    Ok(Some(Memory { before, after_half, after_requests, after_aborts, requests }))
}
