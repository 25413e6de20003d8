//! One job in one sandbox, from admission to its report: the one door between the runner program and the sandboxes.
//!
//! Invariant: whatever happens, there is a [`Report`], and when it is there nothing of the sandbox is left on the host.

mod attempt;

use crate::{
    classify::Facts,
    pool::{Key, Pool, Ready},
    sandbox::{BootError, Class},
};
use alphagate_contract::job::{Ending, Report, SandboxSpec, dispatch::Stream};
use attempt::Attempt;
use std::{future::Future, time::Instant};
use tokio_util::sync::CancellationToken;

/// Where output goes as it comes. While a call is pending, nothing more is read from the sandbox: back-pressure.
/// A call may be dropped before it is done, when the job has to end.
pub trait Sink: Send {
    /// User code has started.
    fn started(&mut self) -> impl Future<Output = ()> + Send;

    /// The next bytes of one stream, exactly as they were written; at most 64 KiB at once, never more in all than
    /// the job's `output_bytes` and one marker line.
    fn output(&mut self, stream: Stream, bytes: Vec<u8>) -> impl Future<Output = ()> + Send;
}

/// Runs a job to its end. `stop` ends it with [`Ending::Stopped`] wherever it is: waiting, booting or running.
pub async fn execute(
    pool: &Pool,
    spec: &SandboxSpec,
    sink: &mut impl Sink,
    stop: &CancellationToken,
) -> Report {
    let begun = Instant::now();
    if !spec.files.iter().any(|file| file.path == spec.entry) {
        let message = format!("entry {} is none of the files", spec.entry);
        return Report::of(Ending::NotRun { code: "files_refused".to_owned(), message });
    }
    let key = key(spec);
    loop {
        let taken = tokio::select! {
            taken = pool.take(&key) => Some(taken),
            () = stop.cancelled() => None,
        };
        let Some(taken) = taken else {
            // A boot that nobody waits for any more is being taken away.
            pool.engine().settle().await;
            return Report::of(Ending::Stopped);
        };
        let ready = match taken {
            Ok(ready) => ready,
            Err(error) => return Report::of(refused(&error)),
        };
        let has_waited = ready.has_waited;
        let (facts, report) = run(pool, ready, spec, sink, stop, begun).await;
        // One that died while it waited says nothing about the job: another takes its place. Only those that have
        // waited are tried again, and the pool has a bounded number of them.
        if has_waited && !facts.started && matches!(report.ending, Ending::Died { .. }) {
            continue;
        }
        return report;
    }
}

fn key(spec: &SandboxSpec) -> Key {
    let class = Class {
        image: spec.image.clone(),
        memory_bytes: spec.limits.memory_bytes,
        disk_bytes: spec.limits.disk_bytes,
        pids: spec.limits.pids,
        grader: spec.grader,
    };
    Key { class, language: spec.language }
}

fn refused(error: &BootError) -> Ending {
    Ending::NotRun { code: error.code().to_owned(), message: error.to_string() }
}

async fn run(
    pool: &Pool,
    ready: Ready,
    spec: &SandboxSpec,
    sink: &mut impl Sink,
    stop: &CancellationToken,
    begun: Instant,
) -> (Facts, Report) {
    let Ready { mut sandbox, link, mut isolation, room, start, .. } = ready;
    let mut attempt = Attempt::new(spec, link, begun, start);
    attempt.converse(sandbox.as_mut(), sink, stop).await;
    sandbox.kill();
    let mut facts = attempt.facts.clone();
    facts.post_mortem = sandbox.post_mortem().await;
    if let Err(error) = sandbox.destroy().await {
        tracing::warn!(%error, "a sandbox could not be taken away");
    }
    drop(room);
    let mut ending = facts.ending();
    if let Ending::Died { host_healthy, .. } = &mut ending {
        *host_healthy = !facts.post_mortem.engine_lost && pool.engine().probe().await.is_ok();
    }
    isolation.prestarted = facts.prestarted;
    let report = attempt.report(ending, &facts, isolation);
    (facts, report)
}
