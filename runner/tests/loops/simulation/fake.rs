//! Sandboxes that only take simulated time: the one thing of the runner that the simulation replaces.

use alphagate_contract::job::{
    Bytes, Ending, Language, Limits, Report, SandboxSpec, Written,
    dispatch::{Stream, Work},
};
use alphagate_runner::{execute::Sink as _, executor::Executor, pump::OutputSink};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// From the claim to the start of user code, and from a kill to the end.
const BOOT: Duration = Duration::from_millis(60);
const KILL: Duration = Duration::from_millis(30);

/// What a fake job does; it travels as the job's standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    pub name: u32,
    pub wall_ms: u64,
    /// Its first run does not end by itself: it is cancelled, or lost and killed.
    pub is_endless: bool,
    pub chunks: u32,
    pub chunk_bytes: usize,
    /// How its first run ends, its second, …; the last holds for all that follow.
    pub endings: Vec<Ending>,
}

impl Script {
    pub fn work(&self) -> Work {
        let limits =
            Limits { wall_ms: 1, cpu_ms: 1, memory_bytes: 1, pids: 1, disk_bytes: 1, output_bytes: 1 };
        Work::Sandbox(Box::new(SandboxSpec {
            image: "minimal".to_owned(),
            language: Language::Bash,
            entry: "main.sh".parse().unwrap(),
            files: vec![],
            argv: vec![],
            stdin: Bytes(serde_json::to_vec(self).unwrap()),
            env: BTreeMap::new(),
            limits,
            artefacts: vec![],
            grader: false,
        }))
    }

    /// What a run writes to standard output, up to so many bytes.
    pub fn stdout(&self) -> Vec<u8> {
        (0..self.chunks).flat_map(|number| self.chunk(number)).collect()
    }

    fn chunk(&self, number: u32) -> Vec<u8> {
        let line = format!("job {} line {number};", self.name);
        line.bytes().cycle().take(self.chunk_bytes).collect()
    }
}

/// What all hosts together have done.
#[derive(Debug, Default)]
pub struct Tally {
    /// Runs begun, by job.
    runs: BTreeMap<u32, usize>,
    /// Sandboxes that live, by runner.
    live: BTreeMap<usize, u32>,
    /// Most sandboxes that lived at once, by runner.
    pub most: BTreeMap<usize, u32>,
}

impl Tally {
    /// Runs begun, over all jobs.
    pub fn runs(&self) -> usize {
        self.runs.values().map(|again| again + 1).sum()
    }

    pub fn live(&self) -> u32 {
        self.live.values().sum()
    }
}

/// The sandboxes of one runner.
pub struct Fake {
    pub runner: usize,
    pub tally: Arc<Mutex<Tally>>,
}

struct Living<'a>(&'a Fake);

impl Drop for Living<'_> {
    fn drop(&mut self) {
        *self.0.tally.lock().unwrap().live.entry(self.0.runner).or_default() -= 1;
    }
}

impl Fake {
    fn begin(&self, name: u32) -> (usize, Living<'_>) {
        let mut tally = self.tally.lock().unwrap();
        let run = *tally.runs.entry(name).and_modify(|runs| *runs += 1).or_insert(0);
        let live = *tally.live.entry(self.runner).and_modify(|live| *live += 1).or_insert(1);
        let most = tally.most.entry(self.runner).or_default();
        *most = live.max(*most);
        (run, Living(self))
    }

    async fn run(&self, script: &Script, run: usize, sink: &mut OutputSink, written: &mut u64) -> Ending {
        sleep(BOOT).await;
        sink.started().await;
        if script.is_endless && run == 0 {
            std::future::pending::<()>().await;
        }
        for number in 0..script.chunks {
            sleep(Duration::from_millis(script.wall_ms / u64::from(script.chunks))).await;
            let chunk = script.chunk(number);
            let length = chunk.len() as u64;
            sink.output(Stream::Stdout, chunk).await;
            *written += length;
        }
        script.endings.get(run).or(script.endings.last()).cloned().unwrap()
    }
}

impl Executor for Fake {
    fn execute<'a>(
        &'a self,
        spec: &'a SandboxSpec,
        sink: &'a mut OutputSink,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            let script: Script = serde_json::from_slice(&spec.stdin.0).unwrap();
            let (run, _living) = self.begin(script.name);
            let mut stdout_bytes = 0;
            let ending = tokio::select! {
                biased;
                () = stop.cancelled() => { sleep(KILL).await; Ending::Stopped }
                ending = self.run(&script, run, sink, &mut stdout_bytes) => ending,
            };
            let written = Written { stdout_bytes, ..Written::default() };
            Report { written, ..Report::of(ending) }
        })
    }
}
