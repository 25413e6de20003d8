//! The work of an attempt: a sandbox with its output, or a question to the edge.
//!
//! Invariant: when this returns nothing of the job runs any more, even if the attempt was lost meanwhile.

use crate::{
    attempt::{Attempt, Over},
    pump, sample,
};
use alphagate_contract::job::{Ending, Report, SandboxSpec, dispatch::Work};

/// Does the work. Everything that it wrote has been accepted by control when its report is here.
pub(crate) async fn run(attempt: &Attempt, work: Work) -> Result<Report, Over> {
    match work {
        Work::Sandbox(spec) => sandbox(attempt, &spec).await,
        Work::Sample { spec, key } => {
            let runner = &attempt.runner;
            let edge_url = match &runner.edge_url {
                Some(url) => url.clone(),
                None => runner.lease.registered().await.edge_url.clone(),
            };
            let asked = sample::ask(runner.transport.as_ref(), &edge_url, spec, key);
            tokio::select! {
                biased;
                () = attempt.signals.lost.cancelled() => Err(Over::Lost),
                () = attempt.signals.stop.cancelled() => Ok(Report::of(Ending::Stopped)),
                report = asked => Ok(report),
            }
        }
    }
}

async fn sandbox(attempt: &Attempt, spec: &SandboxSpec) -> Result<Report, Over> {
    let runner = &attempt.runner;
    let stop = &attempt.signals.stop;
    let (mut sink, pumping) = pump::channel();
    let executing = async {
        let report = runner.executor.execute(spec, &mut sink, stop).await;
        drop(sink);
        report
    };
    let sending = async {
        let sent = pumping.run(attempt).await;
        if sent.is_err() {
            // Nobody will take the outcome: what still runs is in the way.
            stop.cancel();
        }
        sent
    };
    let (report, sent) = tokio::join!(executing, sending);
    sent.map(|()| report)
}
