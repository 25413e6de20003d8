//! A bed with a Postgres of its own, short leases, and one runner that can be lost.

use std::time::Duration;

use alphagate_bed::{Bed, Options, Postgres, Runner, RunnerOptions};
use alphagate_tests::Evaluator;
use anyhow::{Context, Result};
use tokio::sync::Mutex;

/// How long a claim holds here.
pub const LEASE: Duration = Duration::from_secs(4);
/// How long polls are held here.
pub const POLL: Duration = Duration::from_secs(2);

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The only runner; another is started in its place.
    Runner,
    /// Control, started again at once.
    Control,
    /// Postgres, started again at once.
    Postgres,
}

impl Victim {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Runner, Self::Control, Self::Postgres];
}

/// What the crashes happen to.
pub struct Scene {
    pub bed: &'static Bed,
    pub evaluator: Evaluator,
    runner: Mutex<Option<Runner>>,
    started: std::sync::atomic::AtomicU32,
}

impl Scene {
    pub async fn new() -> Result<Self> {
        let options = Options { postgres: Postgres::Own, ..Options::default() };
        let options = options.control_var("AG_LEASE_MS", LEASE.as_millis());
        let options = options.control_var("AG_RUNNER_POLL_MS", POLL.as_millis());
        let bed = Box::leak(Box::new(Bed::start(options).await?));
        let evaluator = Evaluator::new(bed, "Crashes").await?;
        let scene = Self { bed, evaluator, runner: Mutex::default(), started: 0.into() };
        scene.start_runner().await?;
        Ok(scene)
    }

    async fn start_runner(&self) -> Result<()> {
        let number = self.started.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let options = RunnerOptions::new(&format!("victim-{number}"), 2, 8);
        *self.runner.lock().await = Some(self.bed.start_runner(options).await?);
        Ok(())
    }

    /// Kills it, and puts another in its place.
    pub async fn crash(&self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Runner => {
                self.runner.lock().await.take().context("no runner")?.kill().await;
                self.start_runner().await
            }
            Victim::Control => {
                self.bed.kill_control().await;
                self.bed.start_control().await
            }
            Victim::Postgres => self.bed.restart_postgres_immediate().await,
        }
    }

    /// Stops the runner from running for a while.
    pub async fn freeze(&self, length: Duration) -> Result<()> {
        let runner = self.runner.lock().await;
        let runner = runner.as_ref().context("no runner")?;
        runner.freeze();
        tokio::time::sleep(length).await;
        runner.thaw();
        Ok(())
    }
}
