//! What the loops want of the sandboxes: one job run to its report, in a sandbox of the pool, or refused.
//!
//! The simulation and the tests of the loops put a stand-in here; it is the one thing that they replace.

use crate::{
    execute,
    pool::{Pool, PoolSettings},
    pump::OutputSink,
    sandbox::{BootError, Engine},
};
use alphagate_contract::job::{Ending, Report, SandboxSpec};
use futures_util::future::BoxFuture;
use std::sync::Arc;
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

/// Runs jobs in sandboxes of a pool.
pub struct Sandboxes(Arc<Pool>);

impl Sandboxes {
    /// A pool over an engine.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, settings: PoolSettings) -> Self {
        Self(Pool::new(engine, settings))
    }

    /// Ends the sandboxes that wait.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

impl Executor for Sandboxes {
    fn execute<'a>(
        &'a self,
        spec: &'a SandboxSpec,
        sink: &'a mut OutputSink,
        stop: &'a CancellationToken,
    ) -> BoxFuture<'a, Report> {
        Box::pin(execute::execute(&self.0, spec, sink, stop))
    }
}

/// A host without sandboxes: it serves samples only.
pub struct NoSandboxes;

impl Executor for NoSandboxes {
    fn execute<'a>(
        &'a self,
        _: &'a SandboxSpec,
        _: &'a mut OutputSink,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Report> {
        let code = BootError::IsolationUnavailable(String::new()).code().to_owned();
        let message = "this runner serves samples only".to_owned();
        Box::pin(async { Report::of(Ending::NotRun { code, message }) })
    }
}
