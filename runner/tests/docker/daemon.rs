//! A Docker daemon of the test's own: its socket, its data and its runtime lie in one folder, and it goes with the test.

use anyhow::{Context as _, Result, bail};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// A daemon is there after a second; a busy machine takes longer.
const READY_MAX: Duration = Duration::from_secs(60);
const END_MAX: Duration = Duration::from_secs(40);
/// What the daemon says when it can be spoken to.
const READY: &str = "API listen on";
/// Where distributions put it, besides `PATH`.
const PROGRAM: &str = "dockerd";

/// A daemon that runs.
pub struct Daemon {
    home: PathBuf,
    child: Child,
}

/// Why there is none: said once, and the tests are skipped.
pub fn why_not() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("a Docker daemon needs root".to_owned());
    }
    let starts = |program: &str| {
        let version =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    [PROGRAM, "containerd"].into_iter().find(|program| !starts(program)).map(|program| {
        format!("there is no `{program}` (Debian: apt install --no-install-recommends docker.io)")
    })
}

impl Daemon {
    /// Starts one whose runtime `runsc` is the given program.
    pub fn start(home: &Path, runsc: &Path) -> Result<Self> {
        let arguments = ["--platform=systrap", "--network=none", "--directfs=false"];
        let config = serde_json::json!({
            "runtimes": { "runsc": { "path": runsc, "runtimeArgs": arguments } },
        });
        fs::write(home.join("daemon.json"), config.to_string())?;
        let child = spawn(home)?;
        Ok(Self { home: home.to_owned(), child })
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.home.join("docker.sock")
    }

    /// Ends it and its containers, as an upgrade does, and starts it again.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.child = spawn(&self.home)?;
        Ok(())
    }

    fn stop(&mut self) {
        let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0)) else {
            return;
        };
        // It ends its containers and containerd, and unmounts.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts the daemon and returns when it can be spoken to.
fn spawn(home: &Path) -> Result<Child> {
    let at = |name: &str| home.join(name);
    let _ = fs::remove_file(at("docker.pid"));
    // If the test is killed, the daemon is, too; containerd goes with the daemon.
    let mut child = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", PROGRAM, "--config-file"])
        .arg(at("daemon.json"))
        .arg("--data-root")
        .arg(at("data"))
        .arg("--exec-root")
        .arg(at("exec"))
        .arg("--pidfile")
        .arg(at("docker.pid"))
        .arg("--host")
        .arg(format!("unix://{}", at("docker.sock").display()))
        .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=overlay2"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("setpriv, of util-linux, cannot be started")?;
    let said = BufReader::new(child.stderr.take().context("its standard error")?);
    let (ready, is_ready) = mpsc::channel();
    let log = at("dockerd.log");
    thread::spawn(move || {
        let mut kept = String::new();
        for line in said.lines().map_while(Result::ok) {
            if line.contains(READY) {
                let _ = ready.send(());
            }
            kept.push_str(&line);
            kept.push('\n');
            let _ = fs::write(&log, &kept);
        }
    });
    if is_ready.recv_timeout(READY_MAX).is_err() {
        let said = fs::read_to_string(at("dockerd.log")).unwrap_or_default();
        let _ = child.kill();
        bail!("the Docker daemon did not come up:\n{said}");
    }
    Ok(child)
}
