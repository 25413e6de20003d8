//! The host: which engine it has, whether that isolates, and what is on it.
//!
//! Invariant: user code runs under an engine whose probe has shown gVisor, or under none; anything weaker needs the
//! operator's flag, and says so in every result.

use crate::{
    doctor,
    sandbox::{
        BootError, Engine,
        docker::{Docker, DockerSettings},
        runsc::{Runsc, RunscConfig},
    },
    settings::{EngineName, HostSettings},
};
use alphagate_contract::job::{ImageName, Isolation};
use anyhow::Context as _;
use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// The agent's binary beside this program's.
const AGENT_NAME: &str = "alphagate-agent";
/// A probe takes a second; one that hangs has failed.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// A host that isolates, without leftovers.
pub struct Host {
    /// What boots sandboxes.
    pub engine: Arc<dyn Engine>,
    /// What its probe has shown.
    pub isolation: Isolation,
    /// What it can boot.
    pub images: Vec<ImageName>,
}

/// Finds the engine, takes away what an earlier process left, and probes.
///
/// # Errors
/// [`BootError`] (inside) when the host cannot isolate: what is missing.
pub async fn prepare(settings: &HostSettings) -> anyhow::Result<Host> {
    let engine = engine(settings).await?;
    let reaped =
        engine.reap_leftovers().await.context("leftovers of an earlier start cannot be taken away")?;
    if reaped > 0 {
        tracing::info!(sandboxes = reaped, "took away what an earlier start left");
    }
    let late = |_| BootError::IsolationUnavailable("a test sandbox did not come up in time".to_owned());
    let isolation = timeout(PROBE_MAX, engine.probe()).await.map_err(late)??;
    if isolation.weak && !settings.allow_weak_isolation {
        let message = format!("`{}` is weaker than gVisor, and nothing allows that", isolation.engine);
        return Err(BootError::IsolationUnavailable(message).into());
    }
    let images = engine.images().await;
    Ok(Host { engine, isolation, images })
}

/// The engine that the settings name.
async fn engine(settings: &HostSettings) -> Result<Arc<dyn Engine>, BootError> {
    match settings.engine {
        EngineName::Runsc => runsc(settings),
        EngineName::Docker => docker(settings).await,
    }
}

fn runsc(settings: &HostSettings) -> Result<Arc<dyn Engine>, BootError> {
    let config = RunscConfig {
        runsc: program(&settings.runsc)?,
        agent: agent(settings)?,
        state: settings.runner_state.clone(),
        images: settings.images(),
        pins: settings.pins(),
        uids: None,
        cpus: settings.sandbox_cpus,
    };
    Ok(Arc::new(Runsc::new(config)?))
}

async fn docker(settings: &HostSettings) -> Result<Arc<dyn Engine>, BootError> {
    let found = DockerSettings {
        socket: settings.docker_socket.clone(),
        runtime: settings.docker_runtime.clone(),
        allow_weak: settings.allow_weak_isolation,
        instance: instance(settings),
        cpus: settings.sandbox_cpus,
        agent: agent(settings)?,
        images: settings.images(),
    };
    Ok(Arc::new(Docker::connect(found).await?))
}

/// What marks this runner's containers: the same after a restart, another for every runner's folder.
fn instance(settings: &HostSettings) -> String {
    let folder =
        std::path::absolute(&settings.runner_state).unwrap_or_else(|_| settings.runner_state.clone());
    folder.to_string_lossy().into_owned()
}

/// What `doctor` examines.
pub async fn patient(settings: &HostSettings) -> doctor::Host {
    let is_runsc = settings.engine == EngineName::Runsc;
    doctor::Host {
        engine: engine(settings).await.map_err(|error| error.to_string()),
        runsc: is_runsc.then(|| program(&settings.runsc).unwrap_or_else(|_| settings.runsc.clone())),
        agent: agent(settings)
            .unwrap_or_else(|_| settings.agent.clone().unwrap_or_else(|| AGENT_NAME.into())),
        images: settings.images(),
    }
}

/// A program by its path, or by its name in PATH.
fn program(name: &Path) -> Result<PathBuf, BootError> {
    let is_path = name.components().count() > 1;
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = if is_path {
        Some(name.to_owned())
    } else {
        env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    found.filter(|path| path.is_file()).ok_or_else(|| {
        BootError::IsolationUnavailable(format!(
            "{} is not there: gVisor has to be installed",
            name.display()
        ))
    })
}

fn agent(settings: &HostSettings) -> Result<PathBuf, BootError> {
    let beside = || Some(env::current_exe().ok()?.parent()?.join(AGENT_NAME));
    let path = settings.agent.clone().or_else(beside).filter(|path| path.is_file());
    path.ok_or_else(|| BootError::IsolationUnavailable(format!("{AGENT_NAME} is not there: give its path")))
}
