//! An engine, a pool, and a sink that keeps what it gets.

use alphagate_contract::job::{
    Bytes, File, Language, LimitKind, Limits, Report, SandboxSpec, dispatch::Stream,
};
use alphagate_runner::{
    execute::{Sink, execute},
    pool::{Pool, PoolSettings},
    sandbox::{
        Engine,
        runsc::{HOST_IMAGE, Runsc, RunscConfig},
    },
};
use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const MIB: u64 = 1024 * 1024;

/// Where the two programs are; none where there is no gVisor, which is said, or is a failure if it is demanded.
pub fn programs() -> Option<(PathBuf, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let find = |variable: &str, fallback: &str| {
        let path = std::env::var_os(variable).map_or_else(|| root.join(fallback), PathBuf::from);
        path.is_file().then_some(path)
    };
    let runsc = find("AG_RUNSC", "target/tools/runsc");
    let agent = find("AG_AGENT", "target/agent/alphagate-agent");
    if let (Some(runsc), Some(agent)) = (&runsc, &agent) {
        return Some((runsc.clone(), agent.clone()));
    }
    let demanded = std::env::var("AG_REQUIRE_GVISOR").is_ok_and(|value| value == "1");
    assert!(!demanded, "runsc: {runsc:?}, agent: {agent:?}; AG_REQUIRE_GVISOR=1");
    println!("SKIPPED: no gVisor here (runsc: {runsc:?}, agent: {agent:?})");
    None
}

/// A host with an engine.
pub struct Bed {
    pub folder: TempDir,
    pub engine: Arc<Runsc>,
    pub pool: Arc<Pool>,
}

impl Bed {
    /// None where there is no gVisor.
    pub fn new(idle_max: usize) -> Option<Self> {
        let (runsc, agent) = programs()?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let engine = Arc::new(Runsc::new(config(folder.path(), runsc, agent)).unwrap());
        let settings = PoolSettings { idle_max, boots_max: 2, sandboxes_max: 32 };
        let pool = Pool::new(Arc::clone(&engine) as Arc<dyn Engine>, settings);
        Some(Self { folder, engine, pool })
    }

    pub async fn run(&self, spec: &SandboxSpec) -> Seen {
        self.run_until(spec, &CancellationToken::new()).await
    }

    pub async fn run_until(&self, spec: &SandboxSpec, stop: &CancellationToken) -> Seen {
        let mut sink = Kept { begun: Instant::now(), ..Kept::default() };
        let report = execute(&self.pool, spec, &mut sink, stop).await;
        Seen {
            report,
            stdout: sink.stdout,
            stderr: sink.stderr,
            first_output: sink.first,
            took: sink.begun.elapsed(),
        }
    }

    /// What is left of sandboxes: folders, cgroups, processes.
    pub fn leftovers(&self) -> Vec<String> {
        let folders = std::fs::read_dir(self.sandboxes()).unwrap();
        let mut found: Vec<String> = folders.map(|entry| format!("{:?}", entry.unwrap().path())).collect();
        found.extend(self.engine.cgroups().into_iter().map(|id| format!("cgroup {id}")));
        found.extend(self.command_lines());
        found
    }

    /// Processes of sandboxes.
    pub fn processes(&self) -> usize {
        self.command_lines().len()
    }

    fn sandboxes(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("state/sandboxes")
    }

    fn command_lines(&self) -> Vec<String> {
        let own = self.sandboxes().to_string_lossy().into_owned();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = entries.map(|entry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.contains(&own)).collect()
    }
}

pub fn config(folder: &Path, runsc: PathBuf, agent: PathBuf) -> RunscConfig {
    RunscConfig {
        runsc,
        agent,
        state: folder.join("state"),
        images: folder.join("images"),
        pins: [].into(),
        uids: None,
        cpus: 1,
    }
}

/// What a job showed.
#[derive(Debug)]
pub struct Seen {
    pub report: Report,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub first_output: Option<Duration>,
    pub took: Duration,
}

impl Seen {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn hit(&self, limit: LimitKind) -> bool {
        self.report.limits_hit.contains(&limit)
    }
}

/// A sink in memory.
pub struct Kept {
    pub begun: Instant,
    pub first: Option<Duration>,
    pub started: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { begun: Instant::now(), first: None, started: false, stdout: vec![], stderr: vec![] }
    }
}

impl Sink for Kept {
    async fn started(&mut self) {
        assert!(!self.started);
        self.started = true;
    }

    async fn output(&mut self, stream: Stream, bytes: Vec<u8>) {
        assert!(self.started);
        self.first.get_or_insert(self.begun.elapsed());
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(&bytes),
            Stream::Stderr => self.stderr.extend_from_slice(&bytes),
        }
    }
}

/// Modest limits, so that touching them is quick; time enough for a machine that is busy with other attempts.
pub const LIMITS: Limits = Limits {
    wall_ms: 40_000,
    cpu_ms: 20_000,
    memory_bytes: 128 * MIB,
    pids: 64,
    disk_bytes: 16 * MIB,
    output_bytes: MIB,
};

/// A job of one file.
pub fn job(language: Language, source: impl AsRef<[u8]>) -> SandboxSpec {
    let entry = language.main_file().parse::<alphagate_contract::job::FilePath>().unwrap();
    SandboxSpec {
        image: HOST_IMAGE.to_owned(),
        language,
        entry: entry.clone(),
        files: vec![File { path: entry, content: Bytes(source.as_ref().to_vec()) }],
        argv: vec![],
        stdin: Bytes::default(),
        env: [].into(),
        limits: LIMITS,
        artefacts: vec![],
        grader: false,
    }
}

pub fn python(source: &str) -> SandboxSpec {
    job(Language::Python, source)
}
