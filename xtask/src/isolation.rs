//! What a runner needs to isolate jobs, brought here: gVisor, the agent, images.
//!
//! Invariant: where it cannot be had, one line says why, and everything else goes on without it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use alphagate_bed::{Scratch, places};
use alphagate_runner::doctor::{self, Examination};
use alphagate_runner::sandbox::Engine;
use alphagate_runner::sandbox::runsc::{Runsc, RunscConfig};
use anyhow::Result;

use crate::{agent, images, runsc, steps};

/// Where the parts are.
#[derive(Debug)]
pub(crate) struct Isolation {
    /// gVisor.
    pub(crate) runsc: PathBuf,
    /// PID 1 of every sandbox.
    pub(crate) agent: PathBuf,
    /// The store of images.
    pub(crate) images: PathBuf,
}

/// What comes from registries: gVisor, and the store of images.
#[derive(Debug)]
pub(crate) struct Fetched {
    runsc: PathBuf,
    images: PathBuf,
}

/// Brings what comes from registries, if it is not here.
pub(crate) fn fetch() -> Result<Fetched> {
    let runsc = steps::step("gVisor", runsc::install)?;
    let images = steps::step("images", images::build_all)?;
    Ok(Fetched { runsc, images })
}

/// Builds the rest. None if this machine cannot isolate: the reason has been told.
pub(crate) fn prepare(fetched: Result<Fetched>) -> Option<Isolation> {
    let parts = fetched.and_then(|Fetched { runsc, images }| {
        let agent = steps::step("agent", agent::build)?;
        Ok(Isolation { runsc, agent, images })
    });
    match parts {
        Ok(isolation) => Some(isolation),
        Err(error) => {
            println!("            no sandboxes on this machine: {error:#}");
            None
        }
    }
}

impl Isolation {
    /// What a runner, and tests of one, read from their environment.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.env("AG_RUNSC", &self.runsc).env("AG_AGENT", &self.agent).env("AG_IMAGES", &self.images);
        // As root on Linux there is no excuse: a test that finds no isolation fails.
        if rustix::process::geteuid().is_root() {
            command.env("AG_REQUIRE_GVISOR", "1");
        }
    }
}

/// What this machine isolates with what is here already; nothing is fetched or built.
pub(crate) fn examine() -> Result<Examination> {
    let target = places::target()?;
    let given = std::env::var_os("AG_RUNSC").filter(|given| !given.is_empty()).map(PathBuf::from);
    let runsc = given.unwrap_or_else(|| target.join("tools/runsc"));
    let (agent, images) = (agent::place()?, images::store()?);
    let scratch = Scratch::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let config = RunscConfig {
        runsc: runsc.clone(),
        agent: agent.clone(),
        state: scratch.path().join("runner"),
        images: images.clone(),
        pins: [].into(),
        uids: None,
        cpus: 1,
    };
    let engine = Runsc::new(config).map(|engine| Arc::new(engine) as Arc<dyn Engine>);
    let engine = engine.map_err(|error| error.to_string());
    Ok(runtime.block_on(doctor::examine(doctor::Host { engine, runsc: Some(runsc), agent, images })))
}
