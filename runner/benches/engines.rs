//! `cargo xtask bench runner`: how fast jobs start, how many end in a second, what a sandbox costs; for each engine, with
//! a plain process as the floor.
//!
//! Invariant: engines take turns within one run, so that all of them meet the same machine; everything is bounded in
//! number, and the whole in time.

#[expect(dead_code, reason = "a test restarts its daemon, this does not")]
#[path = "../tests/docker/daemon.rs"]
mod daemon;
#[path = "engines/memory.rs"]
mod memory;
#[path = "engines/subject.rs"]
mod subject;
#[path = "engines/table.rs"]
mod table;

use alphagate_runner::sandbox::{
    Engine,
    docker::{Docker, DockerSettings},
    runsc::{Runsc, RunscConfig},
};
use anyhow::{Context as _, Result};
use daemon::Daemon;
use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use subject::{Subject, Took};
use table::{Measured, Throughput};

/// One after the other, for latencies: enough for a p95 that is not the maximum.
const ROUNDS: usize = 25;
/// At once, for throughput; and how many in all: a few seconds each.
const CONCURRENCIES: [(usize, usize); 3] = [(8, 48), (32, 64), (100, 100)];
/// Held at once, for memory.
const HELD: usize = 8;
/// After this, what is not measured yet is left out: a machine that is too busy says nothing.
const WHOLE_MAX: Duration = Duration::from_secs(420);

fn part(name: &str) -> Result<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .with_context(|| format!("{name} is not set: `cargo xtask bench runner` does"))
}

fn main() -> Result<()> {
    // `cargo test --all-targets` runs benches, too; this one only when it is asked for.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(bench())?;
    println!("\n{report}");
    if let Some(path) = env::var_os("AG_BENCH_REPORT") {
        fs::write(path, report)?;
    }
    Ok(())
}

async fn bench() -> Result<String> {
    let home = tempfile::tempdir()?;
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711))?;
    let runsc_home = home.path().join("runsc");
    let docker_home = home.path().join("docker");
    fs::create_dir_all(&docker_home)?;
    let mut subjects =
        vec![Subject::plain(), Subject::engine("runsc", runsc(&runsc_home)?, runsc_home.clone())];
    // Last to be dropped: the engine on it goes first.
    let daemon = match daemon::why_not() {
        Some(why) => {
            println!("without Docker: {why}");
            None
        }
        None => Some(Daemon::start(&docker_home, &part("AG_RUNSC")?)?),
    };
    if let Some(daemon) = &daemon {
        let engine = docker(daemon).await?;
        subjects.push(Subject::engine("docker", engine, docker_home));
    }
    let until = Instant::now() + WHOLE_MAX;
    let mut measured: Vec<Measured> = subjects.iter().map(|subject| Measured::new(subject.name())).collect();
    latencies(&subjects, &mut measured, until).await;
    throughput(&subjects, &mut measured, until).await;
    for (subject, measured) in subjects.iter().zip(&mut measured) {
        measured.bytes_each = memory::each(subject, HELD).await?;
    }
    for subject in &subjects {
        subject.close().await;
    }
    drop(subjects);
    drop(daemon);
    Ok(table::markdown(&measured))
}

fn runsc(home: &Path) -> Result<Arc<dyn Engine>> {
    let config = RunscConfig {
        runsc: part("AG_RUNSC")?,
        agent: part("AG_AGENT")?,
        state: home.to_owned(),
        images: part("AG_IMAGES")?,
        pins: [].into(),
        uids: None,
        cpus: 1,
    };
    Ok(Arc::new(Runsc::new(config)?))
}

async fn docker(daemon: &Daemon) -> Result<Arc<dyn Engine>> {
    let settings = DockerSettings {
        socket: daemon.socket(),
        runtime: "runsc".to_owned(),
        allow_weak: false,
        instance: "bench".to_owned(),
        agent: part("AG_AGENT")?,
        images: part("AG_IMAGES")?,
        cpus: 1,
    };
    Ok(Arc::new(Docker::connect(settings).await?))
}

/// One job after the other: cold, and with a sandbox that waits.
async fn latencies(subjects: &[Subject], measured: &mut [Measured], until: Instant) {
    for subject in subjects {
        // The first boot of an image lays it out, or imports it.
        let _ = subject.cold().await;
        let _ = subject.warm().await;
    }
    for round in 0..ROUNDS {
        println!("latency, round {} of {ROUNDS}", round + 1);
        for (subject, measured) in subjects.iter().zip(&mut *measured) {
            if Instant::now() > until {
                return;
            }
            measured.cold.push(subject.cold().await);
            measured.warm.extend(subject.warm().await);
        }
    }
}

/// Many jobs at once, each in a cold sandbox.
async fn throughput(subjects: &[Subject], measured: &mut [Measured], until: Instant) {
    for (concurrency, jobs) in CONCURRENCIES {
        for (subject, measured) in subjects.iter().zip(&mut *measured) {
            if Instant::now() > until {
                return;
            }
            println!("throughput, {} at once, {}", concurrency, subject.name());
            let begun = Instant::now();
            let took = subject.many(concurrency, jobs).await;
            let per_second =
                f64::from(u32::try_from(jobs).unwrap_or(u32::MAX)) / begun.elapsed().as_secs_f64();
            let failures = took.iter().filter(|took| !took.passed).count();
            measured.throughput.push(Throughput { concurrency, per_second, failures, took });
        }
    }
}

/// Times, sorted.
fn sorted(all: &[Took], time: impl Fn(&Took) -> Duration) -> Vec<Duration> {
    let mut times: Vec<Duration> = all.iter().filter(|took| took.passed).map(time).collect();
    times.sort_unstable();
    times
}
