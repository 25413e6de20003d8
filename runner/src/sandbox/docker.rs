//! The engine for hosts where Docker already runs: containers whose runtime is gVisor, the agent as their entrypoint.
//!
//! Invariant: every container carries this runner's label, is removed by whoever holds its [`container::Container`], and
//! by [`Engine::reap_leftovers`] if that process died. User code never chooses the entrypoint: a container that fails to
//! start leaves a shim behind.

mod container;
mod imported;
mod spec;
mod watch;

use super::{BootError, Class, Engine, Sandbox};
use crate::image::Store;
use alphagate_contract::job::{ImageName, Isolation};
use bollard::{
    API_DEFAULT_VERSION, errors::Error as DockerError, models::SystemInfo, query_parameters as query,
};
use container::Container;
use futures_util::future::BoxFuture;
use imported::Imported;
use std::{collections::HashMap, io, path::PathBuf, sync::Arc};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use watch::Watch;

/// What says which runner a container belongs to.
pub const LABEL: &str = "alphagate.runner";
/// Longest wait for an answer of the daemon; a start under gVisor takes half a second, ten times that when busy.
const ANSWER_MAX_S: u64 = 30;

/// How to use a Docker daemon.
#[derive(Debug, Clone)]
pub struct DockerSettings {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// The name under which `daemon.json` knows gVisor.
    pub runtime: String,
    /// Use a runtime that is not gVisor: every result then says so.
    pub allow_weak: bool,
    /// What tells this runner's containers from those of others: the same after a restart.
    pub instance: String,
    /// The agent's binary, as the daemon sees it.
    pub agent: PathBuf,
    /// The store of images.
    pub images: PathBuf,
    /// Processors that one sandbox may use.
    pub cpus: u32,
}

/// The engine.
pub struct Docker {
    inner: Arc<Inner>,
}

/// What boots share.
struct Inner {
    client: bollard::Docker,
    settings: DockerSettings,
    imported: Imported,
    host_limits: bool,
    weak: bool,
    watch: Watch,
    /// Boots, and removals of what was dropped.
    tasks: TaskTracker,
}

fn unavailable(error: impl std::fmt::Display) -> BootError {
    BootError::IsolationUnavailable(format!("Docker cannot be used: {error}"))
}

fn failed(error: impl std::fmt::Display) -> BootError {
    BootError::Engine(format!("Docker: {error}"))
}

impl Docker {
    /// Speaks to the daemon and checks that it has the runtime.
    pub async fn connect(settings: DockerSettings) -> Result<Self, BootError> {
        let socket = settings.socket.display().to_string();
        let client = bollard::Docker::connect_with_unix(&socket, ANSWER_MAX_S, API_DEFAULT_VERSION);
        // The daemon may be older than this client: without this every call would be refused.
        let client = client.map_err(unavailable)?.negotiate_version().await.map_err(unavailable)?;
        let info = client.info().await.map_err(unavailable)?;
        let runtimes = info.runtimes.clone().unwrap_or_default();
        if !runtimes.contains_key(&settings.runtime) {
            let name = &settings.runtime;
            return Err(unavailable(format!(
                "it has no runtime `{name}`: daemon.json needs {{\"runtimes\": {{\"{name}\": {{\"path\": \"…/runsc\", \
                 \"runtimeArgs\": [\"--platform=systrap\", \"--network=none\", \"--directfs=false\"]}}}}}}"
            )));
        }
        // Whether it really is gVisor is what the probe asks the kernel inside.
        let weak = settings.runtime == "runc" || settings.runtime == "io.containerd.runc.v2";
        if weak && !settings.allow_weak {
            return Err(unavailable(format!("the runtime `{}` is not gVisor", settings.runtime)));
        }
        let imported = Imported::new(client.clone(), Store::new(settings.images.clone()));
        let host_limits = limits(&info);
        let watch = Watch::new(client.clone());
        let tasks = TaskTracker::new();
        // Closed means only that it can be waited for.
        tasks.close();
        Ok(Self { inner: Arc::new(Inner { client, settings, imported, host_limits, weak, watch, tasks }) })
    }
}

/// Whether the daemon can bound memory, processor time and processes.
fn limits(info: &SystemInfo) -> bool {
    [info.memory_limit, info.cpu_cfs_quota, info.pids_limit].iter().all(|has| *has == Some(true))
}

impl Inner {
    /// Creates, attaches and starts a container. If it fails half-way, dropping what there is removes it.
    async fn boot(&self, class: &Class) -> Result<Container, BootError> {
        let image = self.imported.find(&class.image).await?;
        let isolation = Isolation {
            engine: "docker".to_owned(),
            weak: self.weak,
            kernel: String::new(),
            image_digest: image.digest,
            host_limits: self.host_limits,
            prestarted: false,
        };
        let body = spec::container(&self.settings, class, image.id);
        container::start(self, body, isolation).await.map_err(failed)
    }

    async fn reap(&self) -> Result<usize, DockerError> {
        let label = format!("{LABEL}={}", self.settings.instance);
        let ours = HashMap::from([("label", vec![label])]);
        let list = query::ListContainersOptionsBuilder::new().all(true).filters(&ours).build();
        let ids: Vec<String> =
            self.client.list_containers(Some(list)).await?.into_iter().filter_map(|one| one.id).collect();
        for id in &ids {
            container::remove(&self.client, id).await?;
        }
        Ok(ids.len())
    }
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn probe(&self) -> BoxFuture<'_, Result<Isolation, BootError>> {
        Box::pin(super::probe::probe(self))
    }

    fn images(&self) -> BoxFuture<'_, Vec<ImageName>> {
        Box::pin(async { self.inner.imported.names() })
    }

    fn boot<'a>(&'a self, class: &'a Class) -> BoxFuture<'a, Result<Box<dyn Sandbox>, BootError>> {
        Box::pin(async {
            let (inner, class) = (Arc::clone(&self.inner), class.clone());
            let (done, booted) = oneshot::channel();
            // In a task of its own: a request that is dropped half-way may still be carried out, and a container of
            // which nobody knows would stay. If nobody waits any more, the finished sandbox is dropped, and goes.
            let tasks = inner.tasks.clone();
            tasks.spawn(async move { drop(done.send(inner.boot(&class).await)) });
            let container = booted.await.map_err(|_| failed("the boot was given up"))??;
            Ok(Box::new(container) as Box<dyn Sandbox>)
        })
    }

    fn reap_leftovers(&self) -> BoxFuture<'_, io::Result<usize>> {
        Box::pin(async { self.inner.reap().await.map_err(io::Error::other) })
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.inner.tasks.wait())
    }
}
