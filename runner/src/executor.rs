//! What the loops want of the sandboxes: one job run to its report.
//!
//! The simulation and the tests of the loops put a stand-in here; it is the one thing that they replace.

use crate::pump::OutputSink;
use alphagate_contract::job::{Report, SandboxSpec};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

/// Something that runs sandbox jobs.
pub trait Executor: Send + Sync + 'static {
    /// Runs a job to its end; when the report is there, nothing of the job is left. `stop` ends it early.
    fn execute<'a>(
        &'a self,
        spec: &'a SandboxSpec,
        sink: &'a mut OutputSink,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Report>;
}
