//! Sandboxes: what the runner wants of an engine, whichever it is.
//!
//! Invariant: only this folder touches an engine. A sandbox serves one job and is never used again; whatever ends it,
//! [`Sandbox::destroy`] leaves nothing of it on the host.

pub mod cgroup;
pub mod docker;
pub mod link;
pub mod probe;
pub mod runsc;
pub mod spawn;

use alphagate_contract::job::{ImageName, Isolation};
use futures_util::future::BoxFuture;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// What a sandbox is booted for. Sandboxes of equal classes can stand in for each other until a job enters one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Class {
    /// The root file system.
    pub image: ImageName,
    /// Memory of user code, bytes; the engine adds what the sandbox itself needs.
    pub memory_bytes: u64,
    /// The job's folder and scratch together, bytes.
    pub disk_bytes: u64,
    /// Processes and threads of user code at once.
    pub pids: u32,
    /// Whether its job is a grader.
    pub grader: bool,
}

/// What a sandbox needs beside its job: gVisor's kernel, the agent, an interpreter's own pages and the caches of files.
const OVERHEAD_BYTES: u64 = 96 * 1024 * 1024;
/// What each process or thread costs gVisor outside of the job's own memory.
const OVERHEAD_PER_TASK_BYTES: u64 = 3 * 1024 * 1024;

impl Class {
    /// What the host must give the whole sandbox: the job's memory, its disk (which is memory), and what gVisor needs.
    #[must_use]
    pub const fn host_memory_bytes(&self) -> u64 {
        let tasks = OVERHEAD_PER_TASK_BYTES.saturating_mul(self.pids as u64);
        // A candidate is found out by its use: until then, the grader must not be killed for it.
        let memory_bytes = self.memory_bytes.saturating_mul(if self.grader { 2 } else { 1 });
        memory_bytes.saturating_add(self.disk_bytes).saturating_add(OVERHEAD_BYTES).saturating_add(tasks)
    }
}

/// What gVisor says when it boots: in this sandbox's kernel message, or it is not gVisor.
pub const GVISOR_MARK: &str = "Starting gVisor";

/// The two ends of an agent's framed protocol.
pub struct Pipes {
    /// To the agent's standard input.
    pub to_agent: Box<dyn AsyncWrite + Send + Unpin>,
    /// From the agent's standard output.
    pub from_agent: Box<dyn AsyncRead + Send + Unpin>,
}

/// Why no sandbox came up. `code` goes into `Ending::NotRun`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootError {
    /// The host cannot isolate, or not strongly enough.
    #[error("{0}")]
    IsolationUnavailable(String),
    /// The image is not here, or it is not what it should be.
    #[error("{0}")]
    ImageUnavailable(String),
    /// The engine failed; another try may succeed.
    #[error("{0}")]
    Engine(String),
}

impl BootError {
    /// The word in `Ending::NotRun`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IsolationUnavailable(_) => "isolation_unavailable",
            Self::ImageUnavailable(_) => "image_unavailable",
            Self::Engine(_) => "sandbox_failed",
        }
    }
}

/// What the host knows of a sandbox whose agent has fallen silent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostMortem {
    /// Whether the host's kernel killed something in it for want of memory.
    pub oom_killed: bool,
    /// Exit status of the sandbox's own process, if it exited by itself.
    pub exit: Option<i32>,
    /// Most memory at once, bytes; 0 if the host cannot tell.
    pub memory_peak_bytes: u64,
    /// The last lines that the sandbox said of its own failure, for the operator.
    pub panic_log: String,
    /// Whether the engine itself was away meanwhile: the sandbox's end then says nothing about its job.
    pub engine_lost: bool,
}

/// Something that boots sandboxes.
pub trait Engine: Send + Sync + 'static {
    /// Its word in [`Isolation::engine`].
    fn name(&self) -> &'static str;

    /// Boots a sandbox, lets its agent look around, and throws it away: what this host isolates, or why it cannot.
    /// Takes seconds at most, even where the engine hangs.
    fn probe(&self) -> BoxFuture<'_, Result<Isolation, BootError>>;

    /// The images that it can boot.
    fn images(&self) -> BoxFuture<'_, Vec<ImageName>>;

    /// Boots a sandbox. A future that is dropped leaves nothing behind, as soon as [`Self::settle`] is done.
    fn boot<'a>(&'a self, class: &'a Class) -> BoxFuture<'a, Result<Box<dyn Sandbox>, BootError>>;

    /// Ends and deletes what an earlier process of this runner left, and nothing else; the number of sandboxes.
    /// Called once, before the first boot.
    fn reap_leftovers(&self) -> BoxFuture<'_, io::Result<usize>>;

    /// Waits until everything that was dropped (boots that nobody waits for any more, sandboxes) is gone from the host.
    fn settle(&self) -> BoxFuture<'_, ()>;
}

/// A sandbox in which an agent is, or soon will be, waiting for its one job.
/// Dropping it must also end it; [`Self::destroy`] is the way that waits.
pub trait Sandbox: Send {
    /// The agent's pipes, the first time.
    fn pipes(&mut self) -> Option<Pipes>;

    /// What the engine knows of the isolation; [`Isolation::kernel`] is empty until the agent has spoken.
    fn isolation(&self) -> Isolation;

    /// Its agent has said hello, and no job is in it yet: what its boot was free to use is bounded from now on.
    fn booted(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends every process in it at once; may be called at any time, and again.
    fn kill(&mut self);

    /// Whether its processes are still there, as far as can be told without waiting.
    fn is_alive(&mut self) -> bool;

    /// Processor time of the whole sandbox since its boot, milliseconds, if the host can tell.
    fn processor_ms(&mut self) -> Option<u64> {
        None
    }

    /// Waits for its end (the caller has killed it, or has seen its pipes close) and says what is known.
    fn post_mortem(&mut self) -> BoxFuture<'_, PostMortem>;

    /// Kills it, waits, and deletes everything that it had on the host: processes, cgroup, folders.
    fn destroy(self: Box<Self>) -> BoxFuture<'static, io::Result<()>>;
}
