//! What is measured: one way to run a small Python program.

use alphagate_contract::job::{
    Bytes, Ending, File, FilePath, Language, Limits, SandboxSpec, dispatch::Stream,
};
use alphagate_runner::{
    execute::{Sink, execute},
    pool::{Pool, PoolSettings},
    sandbox::{Class, Engine},
};
use anyhow::Result;
use futures_util::{StreamExt as _, stream};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt as _, process::Command, time::sleep};
use tokio_util::sync::CancellationToken;

const SOURCE: &str = "print(1)";
const IMAGE: &str = "minimal";
const MIB: u64 = 1024 * 1024;
const LIMITS: Limits = Limits {
    wall_ms: 60_000,
    cpu_ms: 60_000,
    memory_bytes: 128 * MIB,
    pids: 32,
    disk_bytes: 16 * MIB,
    output_bytes: MIB,
};
/// Boots at once, for each processor: a boot waits as often as it computes.
const BOOTS_PER_PROCESSOR: usize = 2;
/// Longest wait for a sandbox that is booted ahead.
const AHEAD_MAX: Duration = Duration::from_secs(20);

/// How long one job took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// Until its first output.
    pub first: Duration,
    /// Until its report, with nothing of it left.
    pub whole: Duration,
    /// Whether it did what it should.
    pub passed: bool,
    /// Whether an interpreter had been waiting for it.
    pub prestarted: bool,
}

/// One way.
pub enum Subject {
    /// A process like any other: the floor.
    Plain,
    /// A sandbox.
    Engine {
        /// Its word.
        name: &'static str,
        /// What boots.
        engine: Arc<dyn Engine>,
        /// Nothing is booted ahead.
        cold: Arc<Pool>,
        /// Some are.
        warm: Arc<Pool>,
        /// Its processes name this folder.
        home: PathBuf,
    },
}

impl Subject {
    pub const fn plain() -> Self {
        Self::Plain
    }

    pub fn engine(name: &'static str, engine: Arc<dyn Engine>, home: PathBuf) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let boots_max = processors * BOOTS_PER_PROCESSOR;
        let cold = PoolSettings { idle_max: 0, boots_max, sandboxes_max: 128 };
        let warm = PoolSettings { idle_max: 1, boots_max: 1, sandboxes_max: 2 };
        let (cold, warm) = (Pool::new(Arc::clone(&engine), cold), Pool::new(Arc::clone(&engine), warm));
        Self::Engine { name, engine, cold, warm, home }
    }

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plain => "process",
            Self::Engine { name, .. } => name,
        }
    }

    /// One job, from nothing.
    pub async fn cold(&self) -> Took {
        match self {
            Self::Plain => plain().await,
            Self::Engine { cold, .. } => sandboxed(cold).await,
        }
    }

    /// One job, in a sandbox that waits; none if none came up, or there is no such thing.
    pub async fn warm(&self) -> Option<Took> {
        let Self::Engine { warm, .. } = self else { return None };
        let begun = Instant::now();
        while warm.idle() == 0 {
            if begun.elapsed() > AHEAD_MAX {
                // The pool boots ahead what has been asked for before.
                return Some(sandboxed(warm).await);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Some(sandboxed(warm).await)
    }

    /// Many jobs, so many at once.
    pub async fn many(&self, concurrency: usize, jobs: usize) -> Vec<Took> {
        stream::iter(0..jobs).map(|_| self.cold()).buffer_unordered(concurrency).collect().await
    }

    /// Sandboxes that wait for a job, to be weighed.
    pub async fn hold(&self, count: usize) -> Result<Vec<Box<dyn alphagate_runner::sandbox::Sandbox>>> {
        let Self::Engine { engine, .. } = self else { return Ok(vec![]) };
        let class = Class {
            image: IMAGE.to_owned(),
            memory_bytes: LIMITS.memory_bytes,
            disk_bytes: LIMITS.disk_bytes,
            pids: LIMITS.pids,
            grader: false,
        };
        let mut held = Vec::new();
        for _ in 0..count {
            held.push(engine.boot(&class).await?);
        }
        Ok(held)
    }

    /// What the command lines of its processes contain.
    pub fn home(&self) -> Option<&Path> {
        match self {
            Self::Plain => None,
            Self::Engine { home, .. } => Some(home),
        }
    }

    /// Ends what waits.
    pub async fn close(&self) {
        if let Self::Engine { cold, warm, .. } = self {
            cold.close().await;
            warm.close().await;
        }
    }
}

async fn plain() -> Took {
    let begun = Instant::now();
    let mut python = Command::new("/usr/bin/python3");
    let child = python.args(["-c", SOURCE]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        return Took { first: Duration::ZERO, whole: Duration::ZERO, passed: false, prestarted: false };
    };
    let mut out = [0; 2];
    let read = match child.stdout.as_mut() {
        Some(stdout) => stdout.read_exact(&mut out).await.is_ok(),
        None => false,
    };
    let first = begun.elapsed();
    let passed = child.wait().await.is_ok_and(|status| status.success()) && read && out == *b"1\n";
    Took { first, whole: begun.elapsed(), passed, prestarted: false }
}

async fn sandboxed(pool: &Pool) -> Took {
    let begun = Instant::now();
    let mut sink = First { begun, first: None, bytes: vec![] };
    let report = execute(pool, &spec(), &mut sink, &CancellationToken::new()).await;
    let passed = report.ending == Ending::Exited { code: 0 } && sink.bytes == b"1\n";
    if !passed {
        println!("a job failed: {report:?}");
    }
    let prestarted = report.isolation.is_some_and(|isolation| isolation.prestarted);
    Took { first: sink.first.unwrap_or_default(), whole: begun.elapsed(), passed, prestarted }
}

fn spec() -> SandboxSpec {
    #[expect(clippy::unwrap_used, reason = "the language's own file name is a path")]
    let entry: FilePath = Language::Python.main_file().parse().unwrap();
    SandboxSpec {
        image: IMAGE.to_owned(),
        language: Language::Python,
        files: vec![File { path: entry.clone(), content: Bytes(SOURCE.as_bytes().to_vec()) }],
        entry,
        argv: vec![],
        stdin: Bytes::default(),
        env: [].into(),
        limits: LIMITS,
        artefacts: vec![],
        grader: false,
    }
}

struct First {
    begun: Instant,
    first: Option<Duration>,
    bytes: Vec<u8>,
}

impl Sink for First {
    async fn started(&mut self) {}

    async fn output(&mut self, _stream: Stream, bytes: Vec<u8>) {
        self.first.get_or_insert(self.begun.elapsed());
        self.bytes.extend_from_slice(&bytes);
    }
}
