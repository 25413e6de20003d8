//! A daemon, an engine on it, and a sink that keeps what it gets.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use super::daemon::{self, Daemon};
use alphagate_contract::job::{
    Bytes, File, FilePath, Language, Limits, Report, SandboxSpec, dispatch::Stream,
};
use alphagate_runner::{
    execute::{Sink, execute},
    pool::{Pool, PoolSettings},
    sandbox::{
        Class, Engine,
        docker::{Docker, DockerSettings, LABEL},
    },
};
use std::{
    collections::HashMap,
    env,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const MIB: u64 = 1024 * 1024;
const IMAGE: &str = "minimal";
const LIMITS: Limits = Limits {
    wall_ms: 20_000,
    cpu_ms: 20_000,
    memory_bytes: 128 * MIB,
    pids: 64,
    disk_bytes: 16 * MIB,
    output_bytes: MIB,
};

/// A job of one file.
pub fn job(language: Language, source: &str) -> SandboxSpec {
    let entry: FilePath = language.main_file().parse().unwrap();
    SandboxSpec {
        image: IMAGE.to_owned(),
        language,
        files: vec![File { path: entry.clone(), content: Bytes(source.as_bytes().to_vec()) }],
        entry,
        argv: vec![],
        stdin: Bytes::default(),
        env: [].into(),
        limits: LIMITS,
        artefacts: vec![],
        grader: false,
    }
}

/// A host whose engine is Docker.
pub struct Host {
    pub engine: Arc<Docker>,
    pub daemon: Option<Daemon>,
    pool: Arc<Pool>,
    settings: DockerSettings,
    _home: TempDir,
}

impl Host {
    /// None where that cannot be; a line says why.
    pub async fn start() -> Option<Self> {
        let part = |name: &str| env::var_os(name).map(PathBuf::from);
        let parts = part("AG_RUNSC").zip(part("AG_AGENT")).zip(part("AG_IMAGES"));
        let Some(((runsc, agent), images)) = parts else {
            println!(
                "SKIPPED: `cargo xtask test` sets AG_RUNSC, AG_AGENT and AG_IMAGES where there is gVisor"
            );
            return None;
        };
        if let Some(why) = daemon::why_not() {
            println!("SKIPPED: {why}");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(home.path(), &runsc).unwrap();
        let settings = DockerSettings {
            socket: daemon.socket(),
            runtime: "runsc".to_owned(),
            allow_weak: false,
            instance: "smoke".to_owned(),
            agent,
            images,
            cpus: 1,
        };
        let engine = Arc::new(Docker::connect(settings.clone()).await.unwrap());
        let pool = PoolSettings { idle_max: 0, boots_max: 2, sandboxes_max: 4 };
        let pool = Pool::new(Arc::clone(&engine) as Arc<dyn Engine>, pool);
        Some(Self { engine, daemon: Some(daemon), pool, settings, _home: home })
    }

    /// Another runner on the same daemon.
    pub async fn another(&self, instance: &str) -> Docker {
        let settings = DockerSettings { instance: instance.to_owned(), ..self.settings.clone() };
        Docker::connect(settings).await.unwrap()
    }

    pub fn class(&self) -> Class {
        let (memory_bytes, disk_bytes) = (LIMITS.memory_bytes, LIMITS.disk_bytes);
        Class { image: IMAGE.to_owned(), memory_bytes, disk_bytes, pids: LIMITS.pids, grader: false }
    }

    /// Containers of any runner, in any state.
    pub async fn containers(&self) -> Vec<String> {
        let socket = self.settings.socket.display().to_string();
        let client = bollard::Docker::connect_with_unix(&socket, 30, bollard::API_DEFAULT_VERSION).unwrap();
        let client = client.negotiate_version().await.unwrap();
        let labelled = HashMap::from([("label", vec![LABEL])]);
        let list =
            bollard::query_parameters::ListContainersOptionsBuilder::new().all(true).filters(&labelled);
        let found = client.list_containers(Some(list.build())).await.unwrap();
        found.into_iter().filter_map(|container| container.id).collect()
    }

    pub async fn run(&self, spec: &SandboxSpec) -> Seen {
        self.run_until(spec, &CancellationToken::new(), |_| ()).await
    }

    /// Runs a job; `at_output` is called with everything that it writes.
    pub async fn run_until(
        &self,
        spec: &SandboxSpec,
        stop: &CancellationToken,
        at_output: impl FnMut(&[u8]) + Send,
    ) -> Seen {
        let mut sink = Kept { stdout: vec![], stderr: vec![], last: Instant::now(), at_output };
        let report = execute(&self.pool, spec, &mut sink, stop).await;
        Seen { report, stdout: sink.stdout, stderr: sink.stderr, after_stop: sink.last.elapsed() }
    }
}

/// What a job showed.
#[derive(Debug)]
pub struct Seen {
    pub report: Report,
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// From its last output to the end of the sandbox.
    pub after_stop: Duration,
}

impl Seen {
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

struct Kept<F> {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    last: Instant,
    at_output: F,
}

impl<F: FnMut(&[u8]) + Send> Sink for Kept<F> {
    async fn started(&mut self) {}

    async fn output(&mut self, stream: Stream, bytes: Vec<u8>) {
        self.last = Instant::now();
        (self.at_output)(&bytes);
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(&bytes),
            Stream::Stderr => self.stderr.extend_from_slice(&bytes),
        }
    }
}
