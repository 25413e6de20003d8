//! Child processes: started as a group of their own, ended as a group, with a log file each.
//!
//! Invariant: a group is never signalled after its leader was reaped, so a recycled process id is never hit;
//! and what a leader leaves behind in its group when it exits is killed at once.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::at_exit::AtExit;
use crate::spawner;

/// How much of a log an error message carries: enough for a stack trace, little enough to read.
const TAIL_LINES: usize = 40;
/// How long a group may take to die of SIGKILL before the caller goes on: the kernel needs milliseconds.
const KILL_MAX: Duration = Duration::from_secs(5);

/// What to start, and how.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<PathBuf>,
    /// Standard error goes here, and standard output unless it is `talkative`. Appended to.
    pub(crate) log: PathBuf,
    /// The user id to run under, when it is not ours.
    pub(crate) uid: Option<u32>,
    /// Keep both standard streams: lines are written to stdin and read from stdout.
    pub(crate) talkative: bool,
    /// What the child gets when this process dies.
    pub(crate) death_signal: Signal,
}

/// A running child, ended with its whole group when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    log: PathBuf,
    group: Arc<Group>,
    exit: watch::Receiver<Option<String>>,
    /// Present when the launch was `talkative`. Closing it tells the child that its parent is gone.
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) lines: Option<mpsc::UnboundedReceiver<String>>,
    _end: AtExit,
}

#[derive(Debug)]
struct Group {
    pid: Pid,
    reaped: Mutex<bool>,
}

impl Group {
    /// SIGKILL is for the whole group. Anything gentler is for its leader, who knows how to end the others.
    fn signal(&self, signal: Signal) {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if *reaped {
            return;
        }
        // The leader is alive or a zombie, so process and group exist and are ours.
        let _ = match signal {
            Signal::KILL => kill_process_group(self.pid, signal),
            gentle => kill_process(self.pid, gentle),
        };
    }
}

impl Process {
    pub(crate) fn start(launch: Launch) -> Result<Self> {
        let name = launch.name;
        let death_signal = launch.death_signal;
        let log = launch.log.clone();
        let talkative = launch.talkative;
        let command = command(launch).with_context(|| format!("cannot prepare {name}"))?;
        let program = command.get_program().to_owned();
        let mut child = spawner::spawn(command, death_signal)
            .with_context(|| format!("cannot start {name}: {}", program.display()))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a process id that is none")?;
        let group = Arc::new(Group { pid, reaped: Mutex::new(false) });
        let stdin = child.stdin.take();
        let lines = match (talkative, child.stdout.take()) {
            (true, Some(stdout)) => Some(read_lines(stdout)),
            _ => None,
        };
        let exit = watch_exit(child, Arc::clone(&group));
        let end = AtExit::new({
            let (group, exit) = (Arc::clone(&group), exit.clone());
            move || end_blocking(&group, &exit, death_signal)
        });
        Ok(Self { name, log, group, exit, stdin, lines, _end: end })
    }

    /// How it ended, if it did.
    pub(crate) fn exited(&self) -> Option<String> {
        self.exit.borrow().clone()
    }

    /// Waits for the end and says how it came.
    pub(crate) async fn wait(&self) -> String {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => status.clone().unwrap_or_default(),
            Err(_) => "an unknown status".to_owned(),
        }
    }

    /// Its process id, which is its group's too.
    pub(crate) fn pid(&self) -> i32 {
        self.group.pid.as_raw_nonzero().get()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.group.signal(signal);
    }

    /// Asks to end, and after `grace` insists.
    pub(crate) async fn stop(mut self, signal: Signal, grace: Duration) {
        self.stdin = None;
        self.signal(signal);
        if timeout(grace, self.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Kills the whole group and waits until it is gone.
    pub(crate) async fn kill(self) {
        self.signal(Signal::KILL);
        let _ = timeout(KILL_MAX, self.wait()).await;
    }

    /// Writes one line to the child's stdin.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let Some(stdin) = self.stdin.as_mut() else { bail!("{} has no stdin", self.name) };
        writeln!(stdin, "{line}").with_context(|| format!("cannot write to {}", self.name))?;
        stdin.flush().with_context(|| format!("cannot write to {}", self.name))
    }

    /// An error that shows the end of the log, where the reason stands.
    pub(crate) fn error(&self, what: &str) -> anyhow::Error {
        let log = self.log.display();
        anyhow::anyhow!("{}: {what}\n--- the end of {log}\n{}", self.name, tail(&self.log))
    }
}

/// The last lines of a log.
pub(crate) fn tail(log: &std::path::Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

fn command(launch: Launch) -> Result<Command> {
    let log = File::options().create(true).append(true).open(&launch.log)?;
    let mut command = Command::new(launch.program);
    command.args(launch.args).envs(launch.env);
    if let Some(cwd) = launch.cwd {
        command.current_dir(cwd);
    }
    if let Some(uid) = launch.uid {
        command.gid(uid).uid(uid);
    }
    let (stdin, stdout) = if launch.talkative {
        (Stdio::piped(), Stdio::piped())
    } else {
        (Stdio::null(), log.try_clone()?.into())
    };
    command.stdin(stdin).stdout(stdout).stderr(log);
    Ok(command)
}

fn read_lines(stdout: ChildStdout) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Waits on a thread: first without reaping, so that the group can still be named safely.
fn watch_exit(mut child: Child, group: Arc<Group>) -> watch::Receiver<Option<String>> {
    let (sender, receiver) = watch::channel(None);
    thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(group.pid), options), Err(rustix::io::Errno::INTR)) {}
        group.signal(Signal::KILL);
        let status = {
            let mut reaped = group.reaped.lock().unwrap_or_else(PoisonError::into_inner);
            *reaped = true;
            child.wait()
        };
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        // Nobody may be interested any more.
        let _ = sender.send(Some(status));
    });
    receiver
}

/// For `Drop` and the end of the process, where nothing can be awaited.
fn end_blocking(group: &Group, exit: &watch::Receiver<Option<String>>, signal: Signal) {
    /// A step of the wait below: short against the milliseconds that a process needs to die.
    const STEP: Duration = Duration::from_millis(2);
    /// How long the gentle signal is given. Postgres ends its backends within this on SIGQUIT.
    const GENTLE_STEPS: u32 = 1_000;
    const KILL_STEPS: u32 = 500;
    for (signal, steps) in [(signal, GENTLE_STEPS), (Signal::KILL, KILL_STEPS)] {
        group.signal(signal);
        for _ in 0..steps {
            if exit.borrow().is_some() {
                return;
            }
            thread::sleep(STEP);
        }
    }
}
