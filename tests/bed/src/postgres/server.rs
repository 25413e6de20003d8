//! One Postgres server of our own, on 127.0.0.1 with a password, in a data folder of its own.
//!
//! Invariant: it ends by SIGQUIT when we die, so that no shared memory of it stays behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use super::template::{Cluster, OWNER};
use crate::ports::Lease;
use crate::process::{Launch, Process};
use crate::ready;

/// Crash recovery of a test's database takes well under a second; a loaded machine gets the rest.
const READY_MAX: Duration = Duration::from_secs(30);
/// A fast shutdown writes a checkpoint: tens of milliseconds for a test's data.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Two pools of control per bed, several beds on one server, and room for assertions.
const CONNECTIONS_MAX: u32 = 300;

/// A running Postgres server.
#[derive(Debug)]
pub struct Server {
    cluster: Cluster,
    lease: Lease,
    log: PathBuf,
    durable: bool,
    process: Mutex<Option<Process>>,
}

impl Server {
    /// Starts a server on the data in `folder`, made from the template if there is none. Without `durable`
    /// it does not sync to disk: for tests that do not crash it.
    pub async fn start(folder: &Path, port: Option<u16>, durable: bool) -> Result<Self> {
        let log = folder.with_extension("log");
        let place = folder.to_owned();
        let cluster = tokio::task::spawn_blocking(move || Cluster::in_folder(&place)).await??;
        let lease = Lease::take(port).context("no port for Postgres")?;
        let server = Self { cluster, lease, log, durable, process: Mutex::new(None) };
        let process = server.launch().await?;
        *server.process.lock().await = Some(process);
        Ok(server)
    }

    /// Removes what a server on `folder` left, wherever it lies.
    pub fn wipe(folder: &Path) -> Result<()> {
        let place = Cluster::place(folder)?;
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        Ok(())
    }

    /// The url of its maintenance database, as its superuser.
    pub fn url(&self) -> String {
        format!("postgres://{OWNER}:{}@127.0.0.1:{}/postgres", self.cluster.password, self.lease.port)
    }

    /// Crashes, stays away for so long, and comes back: clients lose their connections, transactions under way are gone.
    pub async fn restart_immediate(&self, away: Duration) -> Result<()> {
        let mut process = self.process.lock().await;
        if let Some(running) = process.take() {
            running.stop(Signal::QUIT, STOP_MAX).await;
        }
        tokio::time::sleep(away).await;
        *process = Some(self.launch().await?);
        Ok(())
    }

    /// Ends it cleanly.
    pub async fn stop(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.stop(Signal::INT, STOP_MAX).await;
        }
    }

    async fn launch(&self) -> Result<Process> {
        let process = Process::start(Launch {
            name: "postgres",
            program: self.cluster.binaries.join("postgres"),
            args: self.arguments(),
            env: vec![("LC_ALL".to_owned(), "C".to_owned())],
            cwd: Some(PathBuf::from("/")),
            log: self.log.clone(),
            uid: self.cluster.account.uid,
            talkative: false,
            death_signal: Signal::QUIT,
        })?;
        let url = self.url();
        ready::until(&process, READY_MAX, || async { Ok(PgConnection::connect(&url).await?.close().await?) })
            .await?;
        Ok(process)
    }

    fn arguments(&self) -> Vec<std::ffi::OsString> {
        let sync = if self.durable { "on" } else { "off" };
        let settings = [
            format!("port={}", self.lease.port),
            format!("max_connections={CONNECTIONS_MAX}"),
            format!("fsync={sync}"),
            format!("synchronous_commit={sync}"),
            format!("full_page_writes={sync}"),
            "listen_addresses=127.0.0.1".to_owned(),
            // Passwords here are random or known to all; every login would derive its key by thousands of rounds.
            "scram_iterations=1".to_owned(),
            "unix_socket_directories=".to_owned(),
            // In the data folder: /dev/shm would keep it after a kill.
            "dynamic_shared_memory_type=mmap".to_owned(),
            "log_min_messages=warning".to_owned(),
            "log_line_prefix=%m [%p] ".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
        ];
        let mut arguments = vec!["-D".into(), self.cluster.data.clone().into_os_string()];
        for setting in settings {
            arguments.extend(["-c".into(), setting.into()]);
        }
        arguments
    }
}
