//! What this host can isolate, found out by doing it, as a table for people and as JSON for programs.
//!
//! Invariant: every check ends within its time, also on hosts where gVisor hangs instead of failing; and the host is
//! called fit only if a sandbox came up whose kernel said that it is gVisor.

mod canary;
mod host;
mod programs;

pub use programs::{RUNSC_MIN_VERSION, is_static, runsc_version};

use crate::{image::Store, sandbox::Engine};
use serde::Serialize;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// Longest wait for a sandbox that runs nothing: boots take 0.2 s, on a busy host some seconds.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// What is to be examined.
pub struct Host {
    /// The engine, or why there is none.
    pub engine: Result<Arc<dyn Engine>, String>,
    /// The `runsc` that it starts by itself, if it does.
    pub runsc: Option<PathBuf>,
    /// The agent.
    pub agent: PathBuf,
    /// The store of images.
    pub images: PathBuf,
}

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Jobs run, but something is weaker than it could be.
    Weak,
    /// Jobs do not run.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How good it is.
    pub grade: Grade,
    /// What was found, or what to do.
    pub detail: String,
}

impl Finding {
    fn new(what: impl Into<String>, grade: Grade, detail: impl Into<String>) -> Self {
        Self { what: what.into(), grade, detail: detail.into() }
    }

    /// Good, or as bad as `otherwise`.
    fn of(what: impl Into<String>, found: Result<String, String>, otherwise: Grade) -> Self {
        match found {
            Ok(detail) => Self::new(what, Grade::Good, detail),
            Err(detail) => Self::new(what, otherwise, detail),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// Whether this host can run jobs under gVisor.
    pub is_fit: bool,
    /// Whether the host bounds memory, processor time and processes of a whole sandbox from outside.
    pub host_limits: bool,
    /// What the kernel inside said of itself.
    pub kernel: String,
    /// The images that are whole.
    pub images: Vec<String>,
    /// From the order to boot to the end of the test sandbox, milliseconds.
    pub boot_ms: u64,
    /// Everything, in the order of the table.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { what, grade, detail } in &self.findings {
            let word = match grade {
                Grade::Good => "ok",
                Grade::Weak => "weak",
                Grade::Bad => "MISSING",
            };
            writeln!(f, "  {word:<8} {what}: {detail}")?;
        }
        match (self.is_fit, self.host_limits) {
            (true, true) => write!(f, "This host isolates jobs."),
            (true, false) => {
                write!(
                    f,
                    "This host isolates jobs, and bounds them from inside the sandbox only (limits: partial)."
                )
            }
            (false, _) => write!(f, "This host cannot isolate jobs (isolation_unavailable)."),
        }
    }
}

/// Looks at everything. Takes some seconds.
pub async fn examine(host: Host) -> Examination {
    let mut found = Examination::default();
    let mut findings = programs(&host);
    let store = Store::new(host.images.clone());
    let looked_at = tokio::task::spawn_blocking(move || images(&store)).await.unwrap_or_default();
    findings.extend(looked_at.0);
    found.images = looked_at.1;
    findings.extend(host::findings());
    match host.engine {
        Ok(engine) => findings.extend(sandbox(engine, &mut found).await),
        Err(why) => findings.push(Finding::new("sandbox", Grade::Bad, why)),
    }
    found.is_fit = findings.iter().all(|finding| finding.grade != Grade::Bad);
    found.findings = findings;
    found
}

fn programs(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(runsc) = &host.runsc {
        let version = runsc_version(runsc).map(|version| format!("{version}, {}", runsc.display()));
        findings.push(Finding::of("gVisor", version, Grade::Bad));
    }
    let agent = is_static(&host.agent).and_then(|is_static| {
        let path = host.agent.display();
        if is_static { Ok(format!("static, {path}")) } else { Err(format!("{path} is linked dynamically")) }
    });
    findings.push(Finding::of("agent", agent, Grade::Bad));
    findings
}

/// Reads every image as a whole; the names of those that are what they should be.
fn images(store: &Store) -> (Vec<Finding>, Vec<String>) {
    let mut names = Vec::new();
    let mut findings = Vec::new();
    for name in store.names() {
        let verified = store.verify(&name).map(|image| image.digest).map_err(|error| error.to_string());
        if verified.is_ok() {
            names.push(name.clone());
        }
        // Jobs of other images run all the same.
        findings.push(Finding::of(format!("image {name}"), verified, Grade::Weak));
    }
    if names.is_empty() {
        let detail = format!("none in {}: jobs can use the host's own /usr only", store.folder().display());
        findings.push(Finding::new("images", Grade::Weak, detail));
    }
    (findings, names)
}

/// Boots a sandbox, and then one whose job takes too much memory.
async fn sandbox(engine: Arc<dyn Engine>, found: &mut Examination) -> Vec<Finding> {
    let begun = Instant::now();
    // Dropping the future is the hard end: a boot that is given up leaves nothing behind.
    let isolation = match timeout(PROBE_MAX, engine.probe()).await {
        Ok(Ok(isolation)) => isolation,
        Ok(Err(error)) => return vec![Finding::new("sandbox", Grade::Bad, error.to_string())],
        Err(_) => {
            let detail = format!("none came up within {} s", PROBE_MAX.as_secs());
            return vec![Finding::new("sandbox", Grade::Bad, detail)];
        }
    };
    found.boot_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    found.kernel.clone_from(&isolation.kernel);
    found.host_limits = isolation.host_limits;
    let grade = if isolation.weak { Grade::Weak } else { Grade::Good };
    let detail = format!("{}: {:?}, {} ms", isolation.engine, isolation.kernel.trim(), found.boot_ms);
    let limits = if isolation.host_limits {
        Finding::new("host limits", Grade::Good, "full: memory, processor time and processes, from outside")
    } else {
        Finding::new("host limits", Grade::Weak, "partial: a sandbox is bounded from inside only")
    };
    let memory = Finding::of("memory limit", canary::memory(engine).await, Grade::Bad);
    vec![Finding::new("sandbox", grade, detail), limits, memory]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{BootError, Class, Sandbox};
    use alphagate_contract::job::{ImageName, Isolation};
    use futures_util::future::{BoxFuture, pending, ready};

    /// As gVisor's KVM platform on some hosts: no answer, and no error.
    struct Hangs;

    impl Engine for Hangs {
        fn name(&self) -> &'static str {
            "hangs"
        }
        fn probe(&self) -> BoxFuture<'_, Result<Isolation, BootError>> {
            Box::pin(pending())
        }
        fn images(&self) -> BoxFuture<'_, Vec<ImageName>> {
            Box::pin(ready(vec![]))
        }
        fn boot<'a>(&'a self, _: &'a Class) -> BoxFuture<'a, Result<Box<dyn Sandbox>, BootError>> {
            Box::pin(pending())
        }
        fn reap_leftovers(&self) -> BoxFuture<'_, std::io::Result<usize>> {
            Box::pin(ready(Ok(0)))
        }
        fn settle(&self) -> BoxFuture<'_, ()> {
            Box::pin(ready(()))
        }
    }

    fn host(engine: Result<Arc<dyn Engine>, String>) -> Host {
        let nowhere = PathBuf::from("/nonexistent");
        Host { engine, runsc: Some(nowhere.clone()), agent: nowhere.clone(), images: nowhere }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_hangs_is_found_out_in_time() {
        let found = examine(host(Ok(Arc::new(Hangs)))).await;
        let sandbox = found.findings.iter().find(|finding| finding.what == "sandbox").unwrap();
        assert_eq!((sandbox.grade, sandbox.detail.as_str()), (Grade::Bad, "none came up within 30 s"));
        assert!(!found.is_fit && !found.host_limits);
    }

    #[tokio::test]
    async fn everything_that_is_missing_is_told_at_once() {
        let found = examine(host(Err("no engine".to_owned()))).await;
        let bad: Vec<&str> = found
            .findings
            .iter()
            .filter(|one| one.grade == Grade::Bad)
            .map(|one| one.what.as_str())
            .collect();
        assert_eq!(bad, ["gVisor", "agent", "sandbox"]);
        assert!(found.to_string().ends_with("(isolation_unavailable)."), "{found}");
    }
}
