//! Stops, floods, what is left behind by a runner that was killed, and sandboxes that die while they wait.

use super::bed::{Bed, Kept, LIMITS, MIB, config, job, programs, python};
use alphagate_contract::job::{Ending, Language, LimitKind, Limits, dispatch::Stream};
use alphagate_runner::{
    execute::{Sink, execute},
    sandbox::{BootError, Class, Engine, runsc::Runsc},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A stop reaches a job within this.
const STOP_MAX: Duration = Duration::from_secs(2);

/// A sink that says when the job has said something.
struct Signals(Kept, Option<oneshot::Sender<()>>);

impl Sink for Signals {
    async fn started(&mut self) {
        self.0.started().await;
    }

    async fn output(&mut self, stream: Stream, bytes: Vec<u8>) {
        self.0.output(stream, bytes).await;
        self.1.take().map(|sender| sender.send(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_reaches_a_running_job_within_two_seconds_and_leaves_nothing() {
    let Some(bed) = Bed::new(0) else { return };
    let spec = python("print('up', flush=True)\nimport os\nos.fork(); os.fork()\nwhile True: pass");
    let (stop, (sender, up)) = (CancellationToken::new(), oneshot::channel());
    let mut sink = Signals(Kept::default(), Some(sender));
    let stopped = async {
        up.await.unwrap();
        stop.cancel();
        Instant::now()
    };
    let (report, stopped) = tokio::join!(execute(&bed.pool, &spec, &mut sink, &stop), stopped);
    assert!(stopped.elapsed() < STOP_MAX, "{:?}", stopped.elapsed());
    assert_eq!(report.ending, Ending::Stopped);
    assert_eq!(sink.0.stdout, b"up\n");
    assert_eq!(bed.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_reaches_a_starting_job_within_two_seconds_and_leaves_nothing() {
    let Some(bed) = Bed::new(0) else { return };
    for wait_ms in [0, 20, 60, 100, 150, 200] {
        let stop = CancellationToken::new();
        let stopped = async {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            stop.cancel();
            Instant::now()
        };
        let spec = python("import time\ntime.sleep(60)");
        let (seen, stopped) = tokio::join!(bed.run_until(&spec, &stop), stopped);
        assert!(stopped.elapsed() < STOP_MAX, "{:?}", stopped.elapsed());
        assert_eq!(seen.report.ending, Ending::Stopped);
        assert_eq!(bed.leftovers(), Vec::<String>::new(), "stopped after {wait_ms} ms");
    }
}

/// A sink that takes its time, and keeps nothing.
#[derive(Default)]
struct Slow(u64);

impl Sink for Slow {
    async fn started(&mut self) {}

    async fn output(&mut self, _stream: Stream, bytes: Vec<u8>) {
        self.0 += bytes.len() as u64;
        if self.0 % (8 * MIB) < bytes.len() as u64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// How much of a flood is let through, and how long that may take. The long form runs with `AG_DEEP=1`.
fn flood() -> (u64, u64) {
    if std::env::var_os("AG_DEEP").is_some() { (10 * 1024 * MIB, 1_800_000) } else { (512 * MIB, 60_000) }
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_flood_leaves_the_runners_memory_flat() {
    let Some(bed) = Bed::new(0) else { return };
    let mut spec = job(Language::Bash, "head -c 11G /dev/zero");
    let (output_bytes, longest_ms) = flood();
    spec.limits = Limits { output_bytes, wall_ms: longest_ms, cpu_ms: longest_ms, ..LIMITS };
    let before = resident_bytes();
    let mut sink = Slow::default();
    let report = execute(&bed.pool, &spec, &mut sink, &CancellationToken::new()).await;
    assert_eq!(report.ending, Ending::Limited { limit: LimitKind::Output }, "{report:?}");
    assert_eq!(report.written.stdout_bytes, output_bytes);
    let grown = resident_bytes().saturating_sub(before);
    println!("{output_bytes} bytes in {} ms, the runner grew by {grown} bytes", report.used.wall_ms);
    assert!(grown < 24 * MIB, "the runner grew by {grown} bytes");
}

/// A sink that never takes anything.
struct Stuck;

impl Sink for Stuck {
    async fn started(&mut self) {}

    async fn output(&mut self, _stream: Stream, _bytes: Vec<u8>) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_job_whose_output_nobody_takes() {
    let Some(bed) = Bed::new(0) else { return };
    let stop = CancellationToken::new();
    let stopped = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        stop.cancel();
        Instant::now()
    };
    let spec = job(Language::Bash, "yes");
    let mut sink = Stuck;
    let (report, stopped) = tokio::join!(execute(&bed.pool, &spec, &mut sink, &stop), stopped);
    assert!(stopped.elapsed() < STOP_MAX, "{:?}", stopped.elapsed());
    assert_eq!(report.ending, Ending::Stopped);
    assert_eq!(bed.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_died_while_it_waited_is_replaced() {
    let Some(bed) = Bed::new(1) else { return };
    let spec = python("print('fine')");
    assert_eq!(bed.run(&spec).await.out(), "fine\n");
    while bed.pool.idle() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for id in bed.engine.cgroups() {
        bed.engine.kill_group(&id);
    }
    assert_eq!(bed.run(&spec).await.out(), "fine\n");
    bed.pool.close().await;
    assert_eq!(bed.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_runner_left_is_reaped_and_nothing_else() {
    let (Some(bed), Some((runsc, agent))) = (Bed::new(0), programs()) else { return };
    let class =
        Class { image: "host".to_owned(), memory_bytes: 64 * MIB, disk_bytes: MIB, pids: 16, grader: false };
    let other = Bed::new(0).unwrap();
    let neighbour = other.engine.boot(&class).await.unwrap();
    // A runner that is killed neither drops nor destroys anything.
    std::mem::forget(bed.engine.boot(&class).await.unwrap());
    assert!(!bed.leftovers().is_empty());
    let taken = Runsc::new(config(bed.folder.path(), runsc.clone(), agent.clone()));
    assert!(
        matches!(taken.map(drop), Err(BootError::IsolationUnavailable(_))),
        "two runners, one state folder"
    );
    let Bed { folder, engine, pool } = bed;
    pool.close().await;
    drop((pool, engine));
    let engine = loop {
        // The old pool's last task may still hold the folder for a moment.
        if let Ok(engine) = Runsc::new(config(folder.path(), runsc.clone(), agent.clone())) {
            break Arc::new(engine);
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(engine.reap_leftovers().await.unwrap(), 1);
    assert_eq!(engine.reap_leftovers().await.unwrap(), 0);
    assert_eq!(engine.cgroups(), Vec::<String>::new());
    let mut neighbour = neighbour;
    assert!(neighbour.is_alive());
    neighbour.destroy().await.unwrap();
    assert_eq!(other.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_what_the_host_isolates() {
    let Some(bed) = Bed::new(0) else { return };
    let isolation = bed.engine.probe().await.unwrap();
    assert_eq!((isolation.engine.as_str(), isolation.weak), ("runsc", false));
    assert!(isolation.kernel.contains("Starting gVisor"), "{isolation:?}");
    assert_eq!(bed.leftovers(), Vec::<String>::new());
}
