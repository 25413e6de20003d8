//! One attempt of a table, and how tables are walked: several at a time, each followed by a look at the host.

use super::bed::{Bed, Seen, job, python};
use alphagate_contract::job::{Ending, Language, LimitKind, SandboxSpec};
use std::{fs, path::PathBuf, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet};

/// Attempts at once.
const AT_ONCE: usize = 3;

/// What every Python attempt begins with.
const PRELUDE: &str = r#"
import ctypes, errno, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, f, *a):
    try: r = f(*a)
    except OSError as e: print(what, errno.errorcode.get(e.errno, e.errno))
    else: print(what, "ALLOWED", r)
def call(number, *a):
    r = libc.syscall(number, *a)
    if r < 0: raise OSError(ctypes.get_errno(), "")
    return r
"#;

/// How an attempt may end.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Exit(i32),
    Signal(i32),
    Limit(LimitKind),
    /// The sandbox dies, the host does not.
    Died,
    NotRun(&'static str),
}

impl End {
    fn is(self, ending: &Ending) -> bool {
        match (self, ending) {
            (Self::Exit(code), Ending::Exited { code: found }) => code == *found,
            (Self::Signal(signal), Ending::Signaled { signal: found }) => signal == *found,
            (Self::Limit(limit), Ending::Limited { limit: found }) => limit == *found,
            (Self::Died, Ending::Died { started, host_healthy, .. }) => *started && *host_healthy,
            (Self::NotRun(code), Ending::NotRun { code: found, .. }) => code == found,
            _ => false,
        }
    }
}

/// An attempt.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    language: Language,
    source: &'static str,
    change: fn(&mut SandboxSpec),
    ends: &'static [End],
    hits: &'static [LimitKind],
    says: Option<&'static str>,
    check: fn(&Seen) -> bool,
}

/// A Python attempt that exits with 0, touches no limit, and is allowed nothing.
pub const fn case(name: &'static str, source: &'static str) -> Case {
    Case {
        name,
        language: Language::Python,
        source,
        change: |_| {},
        ends: &[End::Exit(0)],
        hits: &[],
        says: None,
        check: |_| true,
    }
}

impl Case {
    pub const fn bash(mut self) -> Self {
        self.language = Language::Bash;
        self
    }

    pub const fn with(mut self, change: fn(&mut SandboxSpec)) -> Self {
        self.change = change;
        self
    }

    pub const fn ends(mut self, ends: &'static [End]) -> Self {
        self.ends = ends;
        self
    }

    pub const fn hits(mut self, hits: &'static [LimitKind]) -> Self {
        self.hits = hits;
        self
    }

    /// The whole standard output, without white space around it.
    pub const fn says(mut self, says: &'static str) -> Self {
        self.says = Some(says);
        self
    }

    pub const fn check(mut self, check: fn(&Seen) -> bool) -> Self {
        self.check = check;
        self
    }

    fn spec(&self) -> SandboxSpec {
        let mut spec = match self.language {
            Language::Python => python(&format!("{PRELUDE}{}", self.source)),
            language => job(language, self.source),
        };
        (self.change)(&mut spec);
        spec
    }

    fn offences(&self, seen: &Seen) -> Vec<String> {
        let mut offences = Vec::new();
        if !self.ends.iter().any(|end| end.is(&seen.report.ending)) {
            offences.push(format!("ended with {:?}, not {:?}", seen.report.ending, self.ends));
        }
        if let Some(limit) = self.hits.iter().find(|limit| !seen.hit(**limit)) {
            offences.push(format!("did not touch {limit:?}"));
        }
        if self.says.is_some_and(|says| seen.out().trim() != says.trim()) {
            offences.push("said something else".to_owned());
        }
        if seen.out().contains("ALLOWED") {
            offences.push("was allowed something".to_owned());
        }
        if !(self.check)(seen) {
            offences.push("failed its own check".to_owned());
        }
        let isolation = seen.report.isolation.as_ref();
        let ran = !matches!(seen.report.ending, Ending::NotRun { .. });
        if ran && !isolation.is_some_and(|isolation| isolation.kernel.contains("Starting gVisor")) {
            offences.push("is not attested".to_owned());
        }
        offences
    }
}

/// Whether the job ended long before its time was up: nothing that it left behind held it.
pub fn ends_by_itself(seen: &Seen) -> bool {
    seen.report.used.wall_ms < super::bed::LIMITS.wall_ms / 2
}

/// What an escape would change.
pub struct Canary {
    file: PathBuf,
    pub listener: std::net::TcpListener,
}

pub const CANARY: &str = "/var/cache/alphagate-canary";
const SONG: &str = "nobody has been here";

impl Canary {
    fn new(bed: &Bed) -> Self {
        let file = bed.folder.path().join("canary");
        fs::write(&file, SONG).unwrap();
        Self { file, listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn offences(&self, bed: &Bed) -> Vec<String> {
        let mut offences = Vec::new();
        if fs::read_to_string(&self.file).ok().as_deref() != Some(SONG) {
            offences.push("the canary's file has changed".to_owned());
        }
        if PathBuf::from(CANARY).exists() {
            offences.push("something was written to the host".to_owned());
        }
        self.listener.set_nonblocking(true).unwrap();
        if self.listener.accept().is_ok() {
            offences.push("somebody has reached the host's loopback".to_owned());
        }
        let bytes = size(&bed.folder.path().join("state/sandboxes"));
        if bytes > 1024 * 1024 {
            offences.push(format!("sandboxes hold {bytes} bytes of the host's disk"));
        }
        // 60: a sandbox has some 20 threads, but only a handful of processes.
        let processes = bed.processes();
        if processes > 60 * (AT_ONCE + 4) {
            offences.push(format!("{processes} processes of sandboxes on the host"));
        }
        if !std::process::Command::new("/bin/true").status().is_ok_and(|status| status.success()) {
            offences.push("the host starts no program any more".to_owned());
        }
        offences
    }
}

fn size(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Walks a table; fails with every offence of every case.
pub async fn walk(cases: &'static [Case]) {
    let Some(bed) = Bed::new(2) else { return };
    let (bed, turns) = (Arc::new(bed), Arc::new(Semaphore::new(AT_ONCE)));
    let canary = Arc::new(Canary::new(&bed));
    let mut walking = JoinSet::new();
    for case in cases {
        let (bed, turns, canary) = (Arc::clone(&bed), Arc::clone(&turns), Arc::clone(&canary));
        walking.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            let seen = bed.run(&case.spec()).await;
            let mut offences = case.offences(&seen);
            offences.extend(canary.offences(&bed));
            let next = bed.run(&python("print('fine')")).await;
            if next.out() != "fine\n" {
                offences.push(format!("the next job is not fine: {next:?}"));
            }
            let said = format!("{} | {}", short(&seen.stdout), short(&seen.stderr));
            println!(
                "{:<44} {:>6} ms  {:?} {:?}",
                case.name,
                seen.took.as_millis(),
                seen.report.ending,
                seen.report.limits_hit
            );
            offences
                .into_iter()
                .map(|offence| format!("{}: {offence}: {said}", case.name))
                .collect::<Vec<_>>()
        });
    }
    let offences = walking.join_all().await.concat();
    bed.pool.close().await;
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
    assert_eq!(bed.leftovers(), Vec::<String>::new());
}

fn short(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(600)).unwrap_or_default()).into_owned()
}
