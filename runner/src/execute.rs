//! One job in one sandbox, from admission to its report: the one door between the runner program and the sandboxes.
//!
//! Invariant: whatever happens, there is a [`Report`], and when it is there nothing of the sandbox is left on the host.

use crate::pool::Pool;
use alphagate_contract::job::{Ending, Report, SandboxSpec, dispatch::Stream};
use std::future::Future;
use tokio_util::sync::CancellationToken;

/// Where output goes as it comes. While a call is pending, nothing more is read from the sandbox: back-pressure.
pub trait Sink: Send {
    /// User code has started.
    fn started(&mut self) -> impl Future<Output = ()> + Send;

    /// The next bytes of one stream, exactly as they were written; at most 64 KiB at once, never more in all than
    /// the job's `output_bytes` and one marker line.
    fn output(&mut self, stream: Stream, bytes: Vec<u8>) -> impl Future<Output = ()> + Send;
}

/// Runs a job to its end. `stop` ends it with [`Ending::Stopped`] wherever it is: waiting, booting or running.
pub async fn execute(
    _pool: &Pool,
    _spec: &SandboxSpec,
    _sink: &mut impl Sink,
    _stop: &CancellationToken,
) -> Report {
    Report {
        ending: Ending::NotRun { code: "isolation_unavailable".to_owned(), message: String::new() },
        limits_hit: vec![],
        used: Default::default(),
        written: Default::default(),
        artefacts: vec![],
        result: None,
        isolation: None,
    }
}
