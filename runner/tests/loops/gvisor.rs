//! The whole program with real sandboxes: a job from its claim to its report, and what a killed runner leaves.
//!
//! Where gVisor is missing, a test says so and passes, unless `AG_REQUIRE_GVISOR=1`.

use crate::{
    model::{Model, State},
    program::{self, end, signal, text},
    protocol::stand::{Stand, in_time},
};
use alphagate_contract::job::{
    Bytes, Ending, File, Language, Limits, Outcome, SandboxSpec,
    dispatch::{Stream, Work},
};
use alphagate_runner::{sandbox::runsc::HOST_IMAGE, scenario::Fate};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::process::Child;

const MIB: u64 = 1024 * 1024;

/// Where the two programs are, if they are.
fn programs() -> Option<(PathBuf, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let find = |variable: &str, fallback: &str| {
        let path = std::env::var_os(variable).map_or_else(|| root.join(fallback), PathBuf::from);
        path.is_file().then_some(path)
    };
    let found = find("AG_RUNSC", "target/tools/runsc").zip(find("AG_AGENT", "target/agent/alphagate-agent"));
    if found.is_none() {
        let demanded = std::env::var("AG_REQUIRE_GVISOR").is_ok_and(|value| value == "1");
        assert!(!demanded, "no runsc or no agent, and AG_REQUIRE_GVISOR=1");
        println!("SKIPPED: no gVisor here");
    }
    found
}

/// A host with a folder for its runner.
struct Site {
    folder: TempDir,
    runsc: PathBuf,
    agent: PathBuf,
}

impl Site {
    fn new() -> Option<Self> {
        let (runsc, agent) = programs()?;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        Some(Self { folder, runsc, agent })
    }

    fn serve(&self, stand: &Stand) -> Child {
        let mut command = program::program(&["serve", "--runner-name", "host", "--sandbox-slots", "1"]);
        command.env("AG_CONTROL_URL", &stand.url).env("AG_RUNNER_TOKEN", program::TOKEN);
        command.env("AG_RUNNER_STATE", self.folder.path().join("state"));
        command.env("AG_RUNSC", &self.runsc).env("AG_AGENT", &self.agent).spawn().unwrap()
    }

    /// Processes whose command line names the runner's folder: its sandboxes.
    fn sandboxes(&self) -> usize {
        let own = self.folder.path().to_string_lossy().into_owned();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&own)).count()
    }
}

fn bash(script: &str) -> Work {
    let entry: alphagate_contract::job::FilePath = "main.sh".parse().unwrap();
    let limits = Limits {
        wall_ms: 600_000,
        cpu_ms: 60_000,
        memory_bytes: 64 * MIB,
        pids: 16,
        disk_bytes: 8 * MIB,
        output_bytes: MIB,
    };
    Work::Sandbox(Box::new(SandboxSpec {
        image: HOST_IMAGE.to_owned(),
        language: Language::Bash,
        entry: entry.clone(),
        files: vec![File { path: entry, content: Bytes(script.as_bytes().to_vec()) }],
        argv: vec![],
        stdin: Bytes::default(),
        env: BTreeMap::new(),
        limits,
        artefacts: vec![],
        grader: false,
    }))
}

const LINES: &[u8] = b"main.sh\nline\n";

/// The attempt at work has written what it will ever write.
fn has_written(model: &Model) -> bool {
    model.jobs.values().any(|job| match job.state {
        State::Running { attempt, .. } => model.ledger.bytes(attempt, Stream::Stdout) == LINES,
        _ => false,
    })
}

#[tokio::test]
async fn a_job_runs_in_gvisor_and_its_report_says_so() {
    let Some(site) = Site::new() else { return };
    let stand = Stand::new().await;
    let job = stand.control.change(|model| model.enqueue(bash("printf 'a\\377b'; echo oops >&2; exit 3")));
    let child = site.serve(&stand);
    stand.until_done().await;
    signal(&child, Signal::TERM);
    let output = end(child).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let model = stand.control.model.lock().unwrap();
    let (attempt, report) = model.ledger.reports.first_key_value().unwrap();
    assert_eq!(model.jobs[&job].state, State::Ended(Fate::Ended(Outcome::Failed)));
    assert_eq!(report.ending, Ending::Exited { code: 3 });
    assert_eq!(model.ledger.bytes(*attempt, Stream::Stdout), b"a\xffb");
    assert_eq!(model.ledger.bytes(*attempt, Stream::Stderr), b"oops\n");
    let isolation = report.isolation.as_ref().unwrap();
    assert!(isolation.kernel.contains("gVisor") && !isolation.weak, "{isolation:?}");
    assert_eq!(site.sandboxes(), 0);
}

#[tokio::test]
async fn the_next_start_takes_away_what_a_killed_runner_left_and_its_job_is_done_again() {
    let Some(site) = Site::new() else { return };
    let stand = Stand::new().await;
    // The first run writes a line and hangs; the second finds the job's folder empty, as the first had found it.
    stand.control.change(|model| model.enqueue(bash("ls; echo line; exec sleep 600")));
    let mut first = site.serve(&stand);
    stand.until("output", has_written).await;
    in_time("death", first.kill()).await.unwrap();
    let second = site.serve(&stand);
    stand
        .until("second start", |model| has_written(model) && model.jobs.values().all(|job| job.attempts == 2))
        .await;
    stand.control.change(|model| {
        let job = *model.jobs.keys().next().unwrap();
        model.cancel(job);
    });
    stand.until_done().await;
    signal(&second, Signal::TERM);
    assert!(end(second).await.status.success());
    let model = stand.control.model.lock().unwrap();
    let (attempt, report) = model.ledger.reports.first_key_value().unwrap();
    assert_eq!((report.ending.clone(), model.ledger.reports.len()), (Ending::Stopped, 1));
    assert_eq!(model.ledger.bytes(*attempt, Stream::Stdout), LINES);
    assert_eq!(site.sandboxes(), 0);
}
