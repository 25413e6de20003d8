//! The whole stack: Postgres, control, the edge and a fake provider, started together and ended together.
//!
//! Invariant: whatever ends the process that started a bed, nothing of it stays behind: no process, no
//! database, and no folder that the next bed would not clear away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use crate::edge::{Edge, Settings};
use crate::options::{KvMode, Options};
use crate::places::DataDir;
use crate::ports::Lease;
use crate::postgres::{Database, Logins};
use crate::process::Process;
use crate::provider::Provider;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::{control, faults, http};

/// How long one of the bed's own requests may take: knobs and health answers come at once.
const HTTP_MAX: Duration = Duration::from_secs(10);

/// A running stack. Ended by [`Bed::stop`], by dropping it, or with the process.
#[derive(Debug)]
pub struct Bed {
    // In the order of their end: whoever calls others goes first.
    edge: Mutex<Option<Edge>>,
    control: Mutex<Option<Process>>,
    provider: Provider,
    store: Store,
    logins: Logins,
    secrets: Secrets,
    http: reqwest::Client,
    knobs: std::sync::Mutex<faults::Knobs>,
    /// Secrets that were set since the start, by name: of control, and of the edge.
    control_secrets: std::sync::Mutex<BTreeMap<String, String>>,
    edge_secrets: std::sync::Mutex<BTreeMap<String, String>>,
    edge_port: Lease,
    control_port: Lease,
    control_binary: PathBuf,
    options: Options,
    data: DataDir,
}

impl Bed {
    /// Starts everything and returns when everything answers.
    pub async fn start(options: Options) -> Result<Self> {
        http::install_tls();
        let control_binary = control::binary()?;
        let data = match &options.data_dir {
            Some(path) => DataDir::persistent(path)?,
            None => tokio::task::spawn_blocking(DataDir::temporary).await??,
        };
        let secrets = Secrets::in_folder(&data.path, &control_binary).await?;
        let ports = options.ports;
        let edge_port = Lease::take(ports.edge).context("no port for the edge")?;
        let control_port = Lease::take(ports.control).context("no port for control")?;
        let provider_port = Lease::take(ports.provider).context("no port for the provider")?;
        let provider = Provider::on(provider_port).await?;
        let http = http::client(Some(HTTP_MAX))?;

        let store = async {
            let store = timed(&options, "postgres", Store::open(&data, &options)).await?;
            let owner_url = store.database().owner_url();
            let log = data.log("migrate");
            timed(&options, "migrations", control::migrate(&control_binary, &log, &owner_url)).await?;
            let logins = store.database().logins(secrets.database_password()?).await?;
            anyhow::Ok((store, logins))
        };
        let knobs = faults::Knobs::default();
        let settings = edge_settings(&options, &data, &secrets, edge_port.port, control_port.port, &knobs)?;
        let edge_log = data.log("edge");
        let edge = timed(&options, "edge", Edge::start(&settings, &edge_log));
        let ((store, logins), edge) = tokio::try_join!(store, edge)?;
        let bed = Self {
            edge: Mutex::new(Some(edge)),
            control: Mutex::new(None),
            provider,
            store,
            logins,
            secrets,
            http,
            knobs: knobs.into(),
            control_secrets: Default::default(),
            edge_secrets: Default::default(),
            edge_port,
            control_port,
            control_binary,
            options,
            data,
        };
        timed(&bed.options, "control", bed.start_control()).await?;
        Ok(bed)
    }

    /// Forgets everything that a persistent bed keeps in `folder`: its files, and its database.
    pub async fn wipe(folder: &std::path::Path) -> Result<()> {
        Store::wipe(folder).await?;
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        Ok(())
    }

    /// One bed with knobs for all tests of a binary: started by the first that asks, ended with the process.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Bed> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(Options::default().with_knobs())).await
    }

    /// Where consumers call, without a path: SDKs take this plus `/v1`.
    pub fn edge_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.edge_port.port)
    }

    /// The control plane, without a path.
    pub fn control_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.control_port.port)
    }

    /// The fake provider: its url, its knobs, what it saw.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The bearer of control's operator routes.
    pub fn operator_token(&self) -> &str {
        self.secrets.operator_token()
    }

    /// Every secret of this bed.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Sets a secret of control, from its next start on.
    pub fn set_control_secret(&self, name: &str, value: &str) {
        let mut secrets = self.control_secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(name.to_owned(), value.to_owned());
    }

    /// Sets a secret of the Worker, from the edge's next start on.
    pub fn set_edge_secret(&self, name: &str, value: &str) {
        let mut secrets = self.edge_secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(name.to_owned(), value.to_owned());
    }

    /// The bed's database, for assertions: its url is the owner's.
    pub fn database(&self) -> &Database {
        self.store.database()
    }

    /// The folder of data and logs.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.data.path
    }

    /// The folder of the mails that control has sent, as `.eml` files.
    pub fn mails_dir(&self) -> PathBuf {
        self.data.path.join("mails")
    }

    /// What the named child (`edge`, `control`, `postgres`, `migrate`) has logged so far.
    pub fn log(&self, child: &str) -> String {
        std::fs::read_to_string(self.log_path(child)).unwrap_or_default()
    }

    /// Where the named child logs.
    pub fn log_path(&self, child: &str) -> PathBuf {
        self.data.log(child)
    }

    /// Starts control, and waits until it is ready. Nothing happens if it runs.
    pub async fn start_control(&self) -> Result<()> {
        let mut control = self.control.lock().await;
        if control.is_none() {
            let log = self.data.log("control");
            let (env, url) = (self.control_env(), self.control_url());
            let serve = control::serve(&self.control_binary, &log, env, &self.http, &url);
            *control = Some(serve.await?);
        }
        Ok(())
    }

    /// The process id of control.
    pub async fn control_pid(&self) -> Result<i32> {
        self.control.lock().await.as_ref().map(Process::pid).context("control does not run")
    }

    /// Asks control to end, and waits until it has.
    pub async fn stop_control(&self) {
        if let Some(control) = self.control.lock().await.take() {
            control.stop(Signal::TERM, control::STOP_MAX).await;
        }
    }

    /// Kills control (SIGKILL).
    pub async fn kill_control(&self) {
        if let Some(control) = self.control.lock().await.take() {
            control.kill().await;
        }
    }

    /// Starts the edge on its port and its data. Nothing happens if it runs.
    pub async fn start_edge(&self) -> Result<()> {
        let mut edge = self.edge.lock().await;
        if edge.is_none() {
            let knobs = self.knobs_now();
            let (edge_port, control_port) = (self.edge_port.port, self.control_port.port);
            let secrets =
                self.secrets.with(&self.edge_secrets.lock().unwrap_or_else(PoisonError::into_inner));
            let settings =
                edge_settings(&self.options, &self.data, &secrets, edge_port, control_port, &knobs)?;
            *edge = Some(Edge::start(&settings, &self.data.log("edge")).await?);
        }
        Ok(())
    }

    /// The process id of what runs workerd: the leader of the edge's process group.
    pub async fn edge_pid(&self) -> Result<i32> {
        self.edge.lock().await.as_ref().map(Edge::pid).context("the edge does not run")
    }

    /// Kills workerd and what runs it (SIGKILL). Its data stays.
    pub async fn kill_edge(&self) {
        if let Some(edge) = self.edge.lock().await.take() {
            edge.kill().await;
        }
    }

    /// Asks the edge to end, waits until it has, and starts it again on the same port and data.
    pub async fn replace_edge(&self) -> Result<()> {
        if let Some(edge) = self.edge.lock().await.take() {
            edge.stop().await;
        }
        self.start_edge().await
    }

    /// Asks control to end, waits until it has, and starts it again on the same port.
    pub async fn replace_control(&self) -> Result<()> {
        self.stop_control().await;
        self.start_control().await
    }

    /// Kills the edge and starts it again: same port, same data, same knobs (`Stale` starts anew).
    pub async fn restart_edge(&self) -> Result<()> {
        self.kill_edge().await;
        self.start_edge().await
    }

    /// Sets what KV does. Needs [`Options::kv_faults`].
    pub async fn kv(&self, mode: KvMode) -> Result<()> {
        self.turn(&format!("kv?mode={}", mode.name())).await?;
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner).kv = mode;
        Ok(())
    }

    /// Sets the edge's wall clock to the real one plus `offset_ms`, which may be negative. Alarms that were
    /// set before keep their moment. Needs [`Options::kv_faults`].
    pub async fn shift_edge_clock(&self, offset_ms: i64) -> Result<()> {
        self.turn(&format!("clock?offset_ms={offset_ms}")).await?;
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner).clock_offset_ms = offset_ms;
        Ok(())
    }

    /// Holds every answer of every Durable Object back for so long; what was asked is done at once. A restart of
    /// the edge ends it. Needs [`Options::kv_faults`].
    pub async fn delay_object_ms(&self, delay_ms: u64) -> Result<()> {
        self.turn(&format!("delay?object_ms={delay_ms}")).await?;
        Ok(())
    }

    /// Aborts the Durable Object of this name at once, with what it is doing: the next request builds it again
    /// from its storage. Needs [`Options::kv_faults`].
    pub async fn abort_object(&self, name: &str) -> Result<()> {
        self.turn(&format!("abort?name={name}")).await?;
        Ok(())
    }

    /// Evicts the Durable Object of this name as the platform does when it is idle: the next request builds it
    /// again from its storage. Says whether it was in memory. Works with the Worker as built, too.
    pub async fn evict_object(&self, name: &str) -> Result<bool> {
        match self.edge.lock().await.as_mut() {
            Some(edge) => Ok(edge.command("evict", name).await? == Value::Bool(true)),
            None => bail!("the edge does not run"),
        }
    }

    /// What KV itself holds under this key, whatever the knobs make the Worker read; null if nothing.
    pub async fn kv_record(&self, key: &str) -> Result<Value> {
        let held = match self.edge.lock().await.as_mut() {
            Some(edge) => edge.command("kv", key).await?,
            None => bail!("the edge does not run"),
        };
        Ok(held.as_str().map(serde_json::from_str).transpose()?.unwrap_or_default())
    }

    /// What the Worker asked of KV and of its objects so far. Needs [`Options::kv_faults`].
    pub async fn edge_counts(&self) -> Result<faults::EdgeCounts> {
        Ok(serde_json::from_value(self.turn("state").await?)?)
    }

    /// Crashes the bed's own Postgres and starts it again. Needs [`crate::Postgres::Own`].
    pub async fn restart_postgres_immediate(&self) -> Result<()> {
        self.store.restart_immediate(Duration::ZERO).await
    }

    /// As [`Self::restart_postgres_immediate`], but it stays away for so long.
    pub async fn postgres_away(&self, away: Duration) -> Result<()> {
        self.store.restart_immediate(away).await
    }

    /// Ends everything in order, and removes what is temporary.
    pub async fn stop(self) {
        if let Some(edge) = self.edge.lock().await.take() {
            edge.stop().await;
        }
        self.stop_control().await;
        self.store.stop().await;
        // Dropping the rest may wait for a folder to be removed.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    fn knobs_now(&self) -> faults::Knobs {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn turn(&self, knob: &str) -> Result<Value> {
        if !self.options.kv_faults {
            bail!("this bed runs the Worker without knobs: start it with Options::kv_faults");
        }
        let url = format!("{}/__bed/{knob}", self.edge_url());
        Ok(self.http.post(url).send().await?.error_for_status()?.json().await?)
    }

    fn control_env(&self) -> Vec<(String, String)> {
        let secrets = self.secrets.with(&self.control_secrets.lock().unwrap_or_else(PoisonError::into_inner));
        let mut env: Vec<(String, String)> = secrets.of_control().collect();
        let mut set = |name: &str, value: String| env.push((name.to_owned(), value));
        set("AG_LISTEN", format!("127.0.0.1:{}", self.control_port.port));
        set("AG_EDGE_URL", self.edge_url());
        set("AG_DATABASE_URL", self.logins.tenant.clone());
        set("AG_SYSTEM_DATABASE_URL", self.logins.system.clone());
        set("AG_ALLOW_PRIVATE_UPSTREAMS", self.options.private_upstreams.to_string());
        set("AG_MAIL_FOLDER", self.mails_dir().display().to_string());
        env.extend(self.options.control_env.clone());
        env
    }
}

fn edge_settings(
    options: &Options,
    data: &DataDir,
    secrets: &Secrets,
    edge_port: u16,
    control_port: u16,
    knobs: &faults::Knobs,
) -> Result<Settings> {
    let mut settings = Settings::new(edge_port, data.path.join("edge"), options.kv_faults)?;
    for (name, value) in secrets.of_edge() {
        settings.bind(&name, value);
    }
    settings.bind("AG_CONTROL_URL", format!("http://127.0.0.1:{control_port}"));
    settings.bind("AG_ALLOW_PRIVATE_UPSTREAMS", options.private_upstreams.to_string());
    for (name, value) in &options.edge_vars {
        settings.bind(name, value.clone());
    }
    if options.kv_faults {
        settings.bind("AG_BED", knobs.to_json());
    }
    Ok(settings)
}

async fn timed<T>(options: &Options, step: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let start = Instant::now();
    let done = work.await.with_context(|| format!("{step} did not start"))?;
    options.progress.tell(step, start.elapsed());
    Ok(done)
}
