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
use alphagate_agent::message::{FROM_AGENT_MAX_BYTES, FromAgent, Hello};
use alphagate_contract::job::{ImageName, Isolation};
use bollard::{
    API_DEFAULT_VERSION, errors::Error as DockerError, models::SystemInfo, query_parameters as query,
};
use container::Container;
use futures_util::future::BoxFuture;
use imported::Imported;
use std::{collections::HashMap, io, path::PathBuf, sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt as _, sync::oneshot, time::timeout};
use watch::Watch;

/// What says which runner a container belongs to.
pub const LABEL: &str = "alphagate.runner";
/// Longest wait for an answer of the daemon; a start under gVisor takes half a second, ten times that when busy.
const ANSWER_MAX_S: u64 = 30;
/// Longest wait of a probe for the agent's first words.
const PROBE_MAX: Duration = Duration::from_secs(20);
/// What the agent reads of the kernel that stands between it and the host, under gVisor.
const GVISOR: &str = "gVisor";
/// A probe runs nothing.
const PROBE_BYTES: u64 = 64 * 1024 * 1024;
const PROBE_PIDS: u32 = 16;

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
        Ok(Self { inner: Arc::new(Inner { client, settings, imported, host_limits, weak, watch }) })
    }

    /// The kernel's boot message as the agent of a sandbox reads it.
    async fn look_around(&self) -> Result<Isolation, BootError> {
        let image = self.inner.imported.names().into_iter().next();
        let image = image.ok_or_else(|| BootError::ImageUnavailable("there is no image".to_owned()))?;
        let class = Class {
            image,
            memory_bytes: PROBE_BYTES,
            disk_bytes: PROBE_BYTES,
            pids: PROBE_PIDS,
            grader: false,
        };
        let mut sandbox = self.boot(&class).await?;
        let hello = timeout(PROBE_MAX, hello(&mut *sandbox)).await;
        let mut isolation = sandbox.isolation();
        sandbox.destroy().await.map_err(failed)?;
        let hello =
            hello.map_err(|_| unavailable("the agent did not speak in time"))?.map_err(unavailable)?;
        if !hello.kernel.contains(GVISOR) && !isolation.weak {
            return Err(unavailable(format!(
                "the runtime `{}` is not gVisor: the kernel inside said {:?}",
                self.inner.settings.runtime, hello.kernel
            )));
        }
        isolation.kernel = hello.kernel;
        Ok(isolation)
    }
}

/// Whether the daemon can bound memory, processor time and processes.
fn limits(info: &SystemInfo) -> bool {
    [info.memory_limit, info.cpu_cfs_quota, info.pids_limit].iter().all(|has| *has == Some(true))
}

/// The agent's first words.
async fn hello(sandbox: &mut dyn Sandbox) -> io::Result<Hello> {
    let mut pipes = sandbox.pipes().ok_or_else(|| io::Error::other("its pipes are taken"))?;
    let mut decoder = alphagate_agent::frame::Decoder::new(FROM_AGENT_MAX_BYTES);
    let mut piece = [0; 1024];
    loop {
        match FromAgent::next_of(&mut decoder).map_err(io::Error::other)? {
            Some(FromAgent::Hello(hello)) => return Ok(hello),
            Some(_) => return Err(io::Error::other("its first frame is no greeting")),
            None => {}
        }
        let read = pipes.from_agent.read(&mut piece).await?;
        if read == 0 {
            let said = sandbox.post_mortem().await.panic_log;
            return Err(io::Error::other(format!("the sandbox ended at once: {said}")));
        }
        decoder.push(piece.get(..read).unwrap_or_default());
    }
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
        };
        let body = spec::container(&self.settings, class, image.id);
        Container::start(self.client.clone(), body, isolation, self.watch.since_now()).await.map_err(failed)
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
        Box::pin(self.look_around())
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
            tokio::spawn(async move { done.send(inner.boot(&class).await) });
            let container = booted.await.map_err(|_| failed("the boot was given up"))??;
            Ok(Box::new(container) as Box<dyn Sandbox>)
        })
    }

    fn reap_leftovers(&self) -> BoxFuture<'_, io::Result<usize>> {
        Box::pin(async { self.inner.reap().await.map_err(io::Error::other) })
    }
}
