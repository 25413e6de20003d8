//! The default engine: gVisor's `runsc`, started directly, without a daemon.
//!
//! Invariant: runsc runs as a user that nothing else uses, without any privilege of the runner's, in cgroups that the
//! runner made; its only link to the runner is three pipes. Everything of a sandbox is named after it, under one folder.

mod bundle;
mod images;
mod remains;
mod state;

pub use images::HOST as HOST_IMAGE;

use super::{
    BootError, Class, Engine, Pipes, PostMortem, Sandbox,
    cgroup::{self, Cgroup, Layout},
    spawn::{Spawner, Start, Started},
};
use alphagate_contract::job::{ImageName, Isolation};
use futures_util::future::BoxFuture;
use images::{Image, Images};
use remains::Remains;
use state::{State, Uids};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    ops::Range,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncReadExt as _, net::unix::pipe};
use tokio_util::task::TaskTracker;

/// Host processes and threads of one sandbox: gVisor has some 20, and one for each of its tasks at most. Far above what
/// a job may start, because gVisor dies of it.
const HOST_PIDS: u32 = 4096;
/// How long a killed sandbox may take to end.
const END_MAX: Duration = Duration::from_secs(5);
/// How much of what a sandbox says of its own failure is kept.
const LAST_WORDS_BYTES: usize = 2048;

/// Where everything is.
#[derive(Debug, Clone)]
pub struct RunscConfig {
    /// The program.
    pub runsc: PathBuf,
    /// The agent, statically linked.
    pub agent: PathBuf,
    /// This runner's own folder; everyone must be able to pass through the folders above it.
    pub state: PathBuf,
    /// Unpacked images: `<name>/rootfs` and `<name>/digest`. It need not exist.
    pub images: PathBuf,
    /// The digests that images must have.
    pub pins: BTreeMap<ImageName, String>,
    /// Users for sandboxes, one each, if the runner is root; none: a range that is derived from the state folder, above
    /// all that systems give out.
    pub uids: Option<Range<u32>>,
    /// Processors that one sandbox may use.
    pub cpus: u32,
}

/// The engine.
pub struct Runsc {
    state: State,
    images: Images,
    uids: Arc<Uids>,
    groups: Option<Layout>,
    spawner: Spawner,
    cpus: u32,
    booted: AtomicU64,
    /// What is being taken away by itself.
    burials: TaskTracker,
}

impl Runsc {
    /// Takes possession of the state folder; nothing is started yet.
    pub fn new(config: RunscConfig) -> Result<Self, BootError> {
        let unavailable =
            |what: &str, error: io::Error| BootError::IsolationUnavailable(format!("{what}: {error}"));
        let state = State::open(&config).map_err(|error| unavailable("the runner's state folder", error))?;
        let uids = Uids::new(&state, config.uids.clone());
        if uids.is_root() {
            state.check_passable()?;
        }
        let groups = Layout::claim(&state.name());
        let groups = groups
            .inspect_err(|error| tracing::warn!(%error, "no cgroups: the host will not enforce limits"));
        Ok(Self {
            images: Images::new(config.images, state.skeletons(), config.pins),
            uids: Arc::new(uids),
            groups: groups.ok(),
            spawner: Spawner::new().map_err(|error| unavailable("the spawner thread", error))?,
            cpus: config.cpus.max(1),
            booted: AtomicU64::new(0),
            burials: TaskTracker::new(),
            state,
        })
    }

    /// Names of the cgroups of sandboxes that are there.
    #[must_use]
    pub fn cgroups(&self) -> Vec<String> {
        self.groups.as_ref().map(Layout::children).unwrap_or_default()
    }

    /// Ends every process of one of these groups.
    pub fn kill_group(&self, id: &str) {
        if let Some(groups) = &self.groups {
            Cgroup::existing(groups, id).kill();
        }
    }

    async fn start(&self, class: &Class) -> Result<RunscSandbox, BootError> {
        let failed = |error: io::Error| BootError::Engine(error.to_string());
        let image = self.images.find(&class.image)?;
        let number = self.booted.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", std::process::id());
        let uid = self.uids.take().map_err(failed)?;
        let mut remains = Remains::new(self.state.sandbox(&id), uid, self.burials.clone());
        let config = bundle::spec(&image.skeleton, &self.state.agent_folder(), &image.shown, self.cpus)
            .map_err(|error| BootError::Engine(error.to_string()))?;
        let config = serde_json::to_vec(&config).map_err(|error| BootError::Engine(error.to_string()))?;
        remains.make_folder(&config).map_err(failed)?;
        let mut doors = Vec::new();
        if let Some(groups) = &self.groups {
            let bounds = cgroup::Bounds { memory_bytes: class.host_memory_bytes(), pids: HOST_PIDS };
            let group = Cgroup::create(groups, &id, bounds).map_err(failed)?;
            doors = group.doors().map_err(failed)?;
            remains.group = Some(group);
        }
        let start = Start { argv: self.argv(&remains, &id), user: remains.user(), doors };
        let started = self.spawner.spawn(start).await.map_err(failed)?;
        RunscSandbox::new(started, remains, self.isolation(&image), self.cpus).map_err(failed)
    }

    fn argv(&self, remains: &Remains, id: &str) -> Vec<OsString> {
        let folder = remains.folder();
        let flag = |name: &str, path: PathBuf| {
            let mut flag = OsString::from(name);
            flag.push(path);
            flag
        };
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let mut argv = vec![self.state.runsc().into_os_string()];
        argv.push(flag("--root=", remains.root()));
        argv.push(flag("--panic-log=", folder.join("panic.log")));
        argv.extend(words(&[
            "--platform=systrap",
            "--directfs=false",
            "--network=none",
            "--overlay2=none",
            // Images do not change under a sandbox: its kernel may remember what it has seen.
            "--file-access-mounts=exclusive",
            "--rootless",
            "--ignore-cgroups",
            "run",
        ]));
        argv.push(flag("--bundle=", folder.to_owned()));
        argv.push(OsString::from(id));
        argv
    }

    fn isolation(&self, image: &Image) -> Isolation {
        Isolation {
            engine: self.name().to_owned(),
            weak: false,
            kernel: String::new(),
            image_digest: image.digest.clone(),
            host_limits: self.groups.is_some(),
            prestarted: false,
        }
    }
}

impl Drop for Runsc {
    fn drop(&mut self) {
        if let Some(groups) = &self.groups {
            groups.release();
        }
    }
}

impl Engine for Runsc {
    fn name(&self) -> &'static str {
        "runsc"
    }

    fn probe(&self) -> BoxFuture<'_, Result<Isolation, BootError>> {
        Box::pin(super::probe::probe(self))
    }

    fn images(&self) -> BoxFuture<'_, Vec<ImageName>> {
        Box::pin(async { self.images.names() })
    }

    fn boot<'a>(&'a self, class: &'a Class) -> BoxFuture<'a, Result<Box<dyn Sandbox>, BootError>> {
        Box::pin(async { Ok(Box::new(self.start(class).await?) as Box<dyn Sandbox>) })
    }

    fn reap_leftovers(&self) -> BoxFuture<'_, io::Result<usize>> {
        Box::pin(async {
            let (state, groups) = (self.state.clone(), self.groups.clone());
            let reap = move || remains::reap(&state, groups.as_ref());
            tokio::task::spawn_blocking(reap).await.map_err(io::Error::other)?
        })
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.burials.close();
            self.burials.wait().await;
        })
    }
}

/// One sandbox.
struct RunscSandbox {
    pidfd: Arc<OwnedFd>,
    pipes: Option<Pipes>,
    last_words: Arc<Mutex<Vec<u8>>>,
    isolation: Isolation,
    cpus: u32,
    /// None once it is destroyed.
    remains: Option<Remains>,
}

impl RunscSandbox {
    fn new(mut started: Started, mut remains: Remains, isolation: Isolation, cpus: u32) -> io::Result<Self> {
        let pipes = (started.child.stdin.take(), started.child.stdout.take(), started.child.stderr.take());
        // From here on, whatever fails, dropping the remains ends it.
        remains.child = Some(started.child);
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let last_words = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(listen(pipe::Receiver::from_owned_fd(stderr.into())?, Arc::clone(&last_words)));
        let pipes = Pipes {
            to_agent: Box::new(pipe::Sender::from_owned_fd(stdin.into())?),
            from_agent: Box::new(pipe::Receiver::from_owned_fd(stdout.into())?),
        };
        Ok(Self {
            pidfd: Arc::new(started.pidfd),
            pipes: Some(pipes),
            last_words,
            isolation,
            cpus,
            remains: Some(remains),
        })
    }
}

/// Keeps the last words of a standard error, and never lets its writer wait.
async fn listen(mut stderr: pipe::Receiver, words: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(piece.get(..count).unwrap_or_default());
        let excess = words.len().saturating_sub(LAST_WORDS_BYTES);
        words.drain(..excess);
    }
}

impl Sandbox for RunscSandbox {
    fn pipes(&mut self) -> Option<Pipes> {
        self.pipes.take()
    }

    fn isolation(&self) -> Isolation {
        self.isolation.clone()
    }

    fn booted(&mut self) -> io::Result<()> {
        let group = self.remains.as_ref().and_then(|remains| remains.group.as_ref());
        group.map_or(Ok(()), |group| group.bound_processors(self.cpus))
    }

    fn kill(&mut self) {
        if let Some(remains) = &mut self.remains {
            remains.kill();
        }
    }

    fn is_alive(&mut self) -> bool {
        self.remains.as_mut().is_some_and(Remains::is_alive)
    }

    fn processor_ms(&mut self) -> Option<u64> {
        self.remains.as_ref()?.group.as_ref()?.processor_ms()
    }

    fn post_mortem(&mut self) -> BoxFuture<'_, PostMortem> {
        Box::pin(async {
            // If it does not end, what is known without its status has to do.
            let pidfd = Arc::clone(&self.pidfd);
            let _ = tokio::task::spawn_blocking(move || remains::await_end(&pidfd, END_MAX)).await;
            let Some(remains) = &mut self.remains else { return PostMortem::default() };
            let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
            let words = String::from_utf8_lossy(&words).into_owned();
            remains.post_mortem(words, LAST_WORDS_BYTES)
        })
    }

    fn destroy(mut self: Box<Self>) -> BoxFuture<'static, io::Result<()>> {
        let remains = self.remains.take();
        Box::pin(async move {
            let bury = move || remains.map_or(Ok(()), Remains::bury);
            tokio::task::spawn_blocking(bury).await.map_err(io::Error::other)?
        })
    }
}
