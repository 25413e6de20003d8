//! A host whose engine is runsc and that has the images of infra/images, and a sink that keeps what it gets.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use alphagate_contract::job::{
    Bytes, File, FilePath, Language, Limits, Report, SandboxSpec, dispatch::Stream,
};
use alphagate_runner::{
    execute::{Sink, execute},
    image::Store,
    pool::{Pool, PoolSettings},
    sandbox::{
        Engine,
        runsc::{Runsc, RunscConfig},
    },
};
use std::{env, fs::Permissions, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const MIB: u64 = 1024 * 1024;
/// What OpenAI gives its graders, but for the time: two minutes there.
const LIMITS: Limits = Limits {
    wall_ms: 110_000,
    cpu_ms: 110_000,
    memory_bytes: 2048 * MIB,
    pids: 64,
    disk_bytes: 64 * MIB,
    output_bytes: MIB,
};

/// A job of one file.
pub fn job(image: &str, language: Language, source: &str) -> SandboxSpec {
    let entry: FilePath = language.main_file().parse().unwrap();
    SandboxSpec {
        image: image.to_owned(),
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

/// A host.
pub struct Host {
    pub store: Store,
    pool: Arc<Pool>,
    _home: TempDir,
}

impl Host {
    /// None where that cannot be; a line says why.
    pub fn new() -> Option<Self> {
        let part = |name: &str| env::var_os(name).map(PathBuf::from);
        let parts = part("AG_RUNSC").zip(part("AG_AGENT")).zip(part("AG_IMAGES"));
        let Some(((runsc, agent), images)) = parts else {
            let demanded = env::var_os("AG_REQUIRE_GVISOR").is_some();
            assert!(!demanded, "AG_REQUIRE_GVISOR is set; AG_RUNSC, AG_AGENT and AG_IMAGES are not");
            println!(
                "SKIPPED: `cargo xtask test` sets AG_RUNSC, AG_AGENT and AG_IMAGES where there is gVisor"
            );
            return None;
        };
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o711)).unwrap();
        let (state, store) = (home.path().join("state"), Store::new(images.clone()));
        let config = RunscConfig { runsc, agent, state, images, pins: [].into(), uids: None, cpus: 2 };
        let engine: Arc<dyn Engine> = Arc::new(Runsc::new(config).unwrap());
        let pool = Pool::new(engine, PoolSettings { idle_max: 0, boots_max: 1, sandboxes_max: 1 });
        Some(Self { store, pool, _home: home })
    }

    pub async fn run(&self, spec: &SandboxSpec) -> Seen {
        let (mut stdout, mut stderr) = (vec![], vec![]);
        let mut sink = Kept { stdout: &mut stdout, stderr: &mut stderr };
        let report = execute(&self.pool, spec, &mut sink, &CancellationToken::new()).await;
        Seen { report, stdout, stderr }
    }
}

/// What a job showed.
#[derive(Debug)]
pub struct Seen {
    pub report: Report,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Seen {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

struct Kept<'a> {
    stdout: &'a mut Vec<u8>,
    stderr: &'a mut Vec<u8>,
}

impl Sink for Kept<'_> {
    async fn started(&mut self) {}

    async fn output(&mut self, stream: Stream, bytes: Vec<u8>) {
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(&bytes),
            Stream::Stderr => self.stderr.extend_from_slice(&bytes),
        }
    }
}
