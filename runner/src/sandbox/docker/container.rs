//! One container: its pipes, its end, its removal.
//!
//! Invariants: its output is drained until it ends, also while it is being killed (the daemon waits for its reader, and
//! would not kill); whatever drops it, it is killed and removed.

use super::{Inner, watch::Since};
use crate::sandbox::{Pipes, PostMortem, Sandbox};
use alphagate_contract::job::Isolation;
use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as DockerError,
    models::{ContainerCreateBody, ContainerState},
    query_parameters as query,
};
use futures_util::{Stream, StreamExt as _, future::BoxFuture};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream},
    runtime::Handle,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What waits in the runner until the job's reader takes it.
const PIPE_BYTES: usize = 256 * 1024;
/// What is kept of a sandbox's standard error: the agent's last words, or gVisor's.
const LOG_MAX_BYTES: usize = 4096;
/// Longest wait for a killed container's end, and for its exit status.
const END_MAX: Duration = Duration::from_secs(15);
/// The daemon may be restarting: it is asked again this often, and this many times.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;

/// A container that is started.
pub struct Container {
    life: Option<Life>,
    pipes: Option<Pipes>,
    isolation: Isolation,
    log: Arc<Mutex<String>>,
    drain: JoinHandle<()>,
    since: Since,
}

/// A container that exists; dropping this removes it.
struct Life {
    client: Docker,
    id: String,
    killed: CancellationToken,
    tasks: TaskTracker,
    removed: bool,
}

impl Life {
    fn kill(&self) {
        if self.killed.is_cancelled() {
            return;
        }
        self.killed.cancel();
        let (client, id) = (self.client.clone(), self.id.clone());
        // Never in the task that drains: one would wait for the other.
        self.tasks.spawn(async move {
            let signal = query::KillContainerOptionsBuilder::new().signal("SIGKILL").build();
            // It may have ended by itself (409), or the daemon is gone and removal will tell.
            let _ = client.kill_container(&id, Some(signal)).await;
        });
    }

    /// Its state once it has ended; none if Docker does not know it any more, or does not answer.
    async fn end_state(&self) -> Option<ContainerState> {
        // Not `next-exit`: that would miss an end that was quicker than this request.
        let until = query::WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut wait = std::pin::pin!(self.client.wait_container(&self.id, Some(until)));
        // Its answer, an exit status or an error, is in the state, too.
        let _ = timeout(END_MAX, wait.next()).await;
        let inspected = self.client.inspect_container(&self.id, None::<query::InspectContainerOptions>).await;
        inspected.ok()?.state.filter(|state| state.running != Some(true))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        self.killed.cancel();
        let (client, id) = (self.client.clone(), self.id.clone());
        // Without a runtime the process is ending: the next one reaps.
        if let Ok(runtime) = Handle::try_current() {
            let removal = async move {
                // What cannot be removed now, the next start reaps.
                let _ = remove(&client, &id).await;
            };
            self.tasks.spawn_on(removal, &runtime);
        }
    }
}

/// Kills and removes a container, whatever state it is in; one that is gone is fine.
pub async fn remove(client: &Docker, id: &str) -> Result<(), DockerError> {
    let mut tries = 0;
    loop {
        let options = query::RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match client.remove_container(id, Some(options)).await {
            Ok(()) | Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
            // 409: a removal is under way already. Others: the daemon restarts.
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Creates, attaches, starts, in this order: what the agent says first is not missed.
pub async fn start(
    engine: &Inner,
    body: ContainerCreateBody,
    isolation: Isolation,
) -> Result<Container, DockerError> {
    let since = engine.watch.since_now();
    let client = engine.client.clone();
    let created = client.create_container(None::<query::CreateContainerOptions>, body).await?;
    let killed = CancellationToken::new();
    let life = Life { client, id: created.id, killed, tasks: engine.tasks.clone(), removed: false };
    let streams =
        query::AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true);
    let attached = life.client.attach_container(&life.id, Some(streams.build())).await?;
    life.client.start_container(&life.id, None::<query::StartContainerOptions>).await?;
    let (to_reader, from_agent) = tokio::io::duplex(PIPE_BYTES);
    let log = Arc::new(Mutex::new(String::new()));
    let drain = tokio::spawn(drain(attached.output, to_reader, Arc::clone(&log), life.killed.clone()));
    let pipes = Some(Pipes { to_agent: Box::new(attached.input), from_agent: Box::new(from_agent) });
    Ok(Container { life: Some(life), pipes, isolation, log, drain, since })
}

fn last_words(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Passes the agent's frames on until the container ends; once it is killed, throws them away.
async fn drain(
    mut output: impl Stream<Item = Result<LogOutput, DockerError>> + Unpin,
    mut to_reader: DuplexStream,
    log: Arc<Mutex<String>>,
    killed: CancellationToken,
) {
    while let Some(Ok(piece)) = output.next().await {
        match piece {
            LogOutput::StdOut { message } => {
                tokio::select! {
                    () = killed.cancelled() => {}
                    // A reader that is gone takes nothing; the container must still be drained.
                    _ = to_reader.write_all(&message) => {}
                }
            }
            LogOutput::StdErr { message } => {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                let room = LOG_MAX_BYTES.saturating_sub(log.len());
                log.push_str(&String::from_utf8_lossy(
                    message.get(..room.min(message.len())).unwrap_or_default(),
                ));
            }
            LogOutput::StdIn { .. } | LogOutput::Console { .. } => {}
        }
    }
}

impl Sandbox for Container {
    fn pipes(&mut self) -> Option<Pipes> {
        self.pipes.take()
    }

    fn isolation(&self) -> Isolation {
        self.isolation.clone()
    }

    fn kill(&mut self) {
        if let Some(life) = &self.life {
            life.kill();
        }
    }

    fn is_alive(&mut self) -> bool {
        !self.drain.is_finished()
    }

    fn post_mortem(&mut self) -> BoxFuture<'_, PostMortem> {
        let (life, last_words, since) = (self.life.as_ref(), last_words(&self.log), &self.since);
        Box::pin(async move {
            let state = match life {
                Some(life) => life.end_state().await,
                None => None,
            };
            let Some(state) = state else {
                let panic_log = format!("Docker lost the container; {last_words}");
                return PostMortem { panic_log, engine_lost: true, ..PostMortem::default() };
            };
            PostMortem {
                oom_killed: state.oom_killed == Some(true),
                exit: state.exit_code.and_then(|code| i32::try_from(code).ok()),
                // Docker tells it of running containers only.
                memory_peak_bytes: 0,
                panic_log: [state.error.unwrap_or_default(), last_words].concat(),
                engine_lost: since.was_away(),
            }
        })
    }

    fn destroy(mut self: Box<Self>) -> BoxFuture<'static, io::Result<()>> {
        Box::pin(async move {
            let Some(mut life) = self.life.take() else { return Ok(()) };
            // From here on the drain throws everything away.
            life.killed.cancel();
            let removed = remove(&life.client, &life.id).await.map_err(io::Error::other);
            life.removed = removed.is_ok();
            // The daemon closes the stream when the container is gone; if it does not, the task is not needed any more.
            if timeout(END_MAX, &mut self.drain).await.is_err() {
                self.drain.abort();
            }
            removed
        })
    }
}
