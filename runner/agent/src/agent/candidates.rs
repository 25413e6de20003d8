//! Candidates: a grader asks for code to be run, and it runs as another user, on another disk, away from the score.
//!
//! Invariant: one candidate at a time; when the grader gets its answer, no process of the candidate is left, and nothing
//! of its disk is there for the next. Only the job's own user gets to the socket.

use super::{
    disk,
    exchange::{self, Answer, OUTPUT_MAX_BYTES, REQUEST_MAX_BYTES, Request},
    files, meter,
    process::{self, Bounds, Launch, Process, Read},
    user,
};
use alphagate_agent::{CANDIDATE_FOLDER, CANDIDATE_UID, JOB_UID, RUN_FOLDER};
use alphagate_contract::job::{Bytes, Limits};
use rustix::{
    event::PollFlags,
    fs::{Mode, chmod, chown},
    process::{Gid, Pid, Uid, WaitStatus},
};
use std::{
    fs, io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
    time::{Duration, Instant},
};

const MODULE: &str = include_str!("../python/alphagate_candidate.py");
/// Bytes that are read of a stream at once.
const READ_BYTES: usize = 64 * 1024;

/// Where graders find the module.
pub fn module_folder() -> String {
    format!("{RUN_FOLDER}/grader")
}

/// Where graders ask.
pub fn socket_path() -> String {
    format!("{}/candidate.sock", socket_folder())
}

/// Only the job's user can enter it: gVisor cannot tell who is at the other end of a socket, but it checks the way there.
fn socket_folder() -> String {
    format!("{RUN_FOLDER}/ask")
}

/// Where the helper is asked, and the module that asks there. It can be there before the job is.
pub struct Door(UnixListener);

/// The helper.
pub struct Candidates {
    door: Door,
    talk: Talk,
    limits: Limits,
}

/// What is going on on the one connection that is served.
enum Talk {
    None,
    Asking(OwnedFd, Vec<u8>),
    Running(OwnedFd, Box<Candidate>),
    Telling(OwnedFd, Vec<u8>, usize),
}

struct Candidate {
    process: Process,
    outputs: [Vec<u8>; 2],
    keep_bytes: usize,
    started: Instant,
    deadline: Instant,
    killed: bool,
    answer: Answer,
}

impl Door {
    /// Listens.
    pub fn open() -> io::Result<Self> {
        fs::create_dir_all(module_folder())?;
        fs::write(format!("{}/alphagate_candidate.py", module_folder()), MODULE)?;
        fs::create_dir_all(socket_folder())?;
        let listener = UnixListener::bind(socket_path())?;
        listener.set_nonblocking(true)?;
        for (path, mode) in [(socket_path(), 0o600), (socket_folder(), 0o700)] {
            chmod(path.as_str(), Mode::from(mode))?;
            chown(path.as_str(), Some(Uid::from_raw(JOB_UID)), Some(Gid::from_raw(JOB_UID)))?;
        }
        Ok(Self(listener))
    }
}

impl Candidates {
    /// Serves whoever asks; `limits` are what a candidate may use.
    pub const fn new(door: Door, limits: Limits) -> Self {
        Self { door, talk: Talk::None, limits }
    }

    /// What to wait for.
    pub fn interests(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        match &self.talk {
            Talk::None => vec![(self.door.0.as_fd(), PollFlags::IN)],
            Talk::Asking(fd, _) => vec![(fd.as_fd(), PollFlags::IN)],
            Talk::Telling(fd, ..) => vec![(fd.as_fd(), PollFlags::OUT)],
            Talk::Running(_, candidate) => candidate.process.interests(true),
        }
    }

    /// Whether a candidate runs.
    pub const fn is_running(&self) -> bool {
        matches!(self.talk, Talk::Running(..))
    }

    /// When something has to happen by itself.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.talk {
            Talk::Running(_, candidate) => Some(candidate.deadline),
            _ => None,
        }
    }

    /// A process has ended; true if it was the candidate's own.
    pub fn ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        match &mut self.talk {
            Talk::Running(_, candidate) if candidate.process.pid == pid => {
                candidate.process.status = Some(status);
                true
            }
            _ => false,
        }
    }

    /// Ends a candidate that uses too much memory.
    pub fn watch_memory(&mut self, used_bytes: u64) {
        if let Talk::Running(_, candidate) = &mut self.talk
            && used_bytes > self.limits.memory_bytes
        {
            candidate.answer.memory_exceeded = true;
            candidate.killed = true;
        }
    }

    /// Goes on as far as it can without waiting.
    pub fn step(&mut self, now: Instant) {
        loop {
            let talk = std::mem::replace(&mut self.talk, Talk::None);
            let (talk, goes_on) = self.advance(talk, now);
            self.talk = talk;
            if !goes_on {
                return;
            }
        }
    }

    fn advance(&self, talk: Talk, now: Instant) -> (Talk, bool) {
        match talk {
            Talk::None => {
                self.accept().map_or((Talk::None, false), |fd| (Talk::Asking(fd, Vec::new()), true))
            }
            Talk::Asking(fd, buffer) => self.listen_to(fd, buffer, now),
            Talk::Running(fd, candidate) => run(fd, candidate, now),
            Talk::Telling(fd, bytes, at) => tell(fd, bytes, at),
        }
    }

    fn accept(&self) -> Option<OwnedFd> {
        let (stream, _) = self.door.0.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(OwnedFd::from(stream))
    }

    fn listen_to(&self, fd: OwnedFd, mut buffer: Vec<u8>, now: Instant) -> (Talk, bool) {
        let mut piece = vec![0; READ_BYTES];
        match process::read(&fd, &mut piece) {
            Read::Closed => return (Talk::None, true),
            Read::Later => return (Talk::Asking(fd, buffer), false),
            Read::Some(count) => buffer.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
        match exchange::read(&buffer) {
            Ok(None) if buffer.len() <= REQUEST_MAX_BYTES => (Talk::Asking(fd, buffer), true),
            Ok(None) => (Talk::None, true),
            Ok(Some(request)) => match self.start(request, now) {
                Ok(candidate) => (Talk::Running(fd, Box::new(candidate)), true),
                Err(error) => refuse(fd, error.to_string()),
            },
            Err(message) => refuse(fd, message),
        }
    }

    fn start(&self, request: Request, now: Instant) -> io::Result<Candidate> {
        let timeout = Duration::from_millis(request.timeout_ms.min(self.limits.wall_ms));
        disk::mount_candidate(self.limits.disk_bytes)?;
        let process = self.launch(&request);
        let mut process = process.inspect_err(|_| disk::unmount_candidate())?;
        process.stdin.give(request.stdin.0);
        Ok(Candidate {
            process,
            outputs: [Vec::new(), Vec::new()],
            keep_bytes: request.output_bytes.min(OUTPUT_MAX_BYTES),
            started: now,
            deadline: now + timeout,
            killed: false,
            answer: Answer::default(),
        })
    }

    fn launch(&self, request: &Request) -> io::Result<Process> {
        files::place(CANDIDATE_FOLDER, &request.files, CANDIDATE_UID, true)?;
        let mut argv: Vec<String> = request.language.command().iter().map(|&word| word.to_owned()).collect();
        argv.push(format!("{CANDIDATE_FOLDER}/{}", request.entry));
        argv.extend_from_slice(&request.argv);
        let mut env = super::running::base_env();
        for (name, value) in &mut env {
            if name == "HOME" || name == "TMPDIR" {
                *value = CANDIDATE_FOLDER.to_owned();
            }
        }
        env.extend(request.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        let bounds = Bounds {
            cpu_ms: Some(self.limits.cpu_ms),
            pids: self.limits.pids,
            file_bytes: self.limits.disk_bytes,
            data_bytes: Some(self.limits.memory_bytes),
        };
        Launch {
            argv,
            env,
            folder: c"/run/candidate",
            user: CANDIDATE_UID,
            bounds,
            private: true,
            handed: vec![],
        }
        .start()
    }
}

fn refuse(fd: OwnedFd, message: String) -> (Talk, bool) {
    let answer = Answer { error: Some(message), ..Answer::default() };
    (Talk::Telling(fd, exchange::write(&answer), 0), true)
}

fn tell(fd: OwnedFd, bytes: Vec<u8>, at: usize) -> (Talk, bool) {
    let rest = bytes.get(at..).unwrap_or_default();
    match rustix::io::write(&fd, rest) {
        _ if rest.is_empty() => (Talk::None, true),
        Ok(count) => (Talk::Telling(fd, bytes, at + count), true),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => (Talk::Telling(fd, bytes, at), false),
        Err(_) => (Talk::None, true),
    }
}

fn run(fd: OwnedFd, mut candidate: Box<Candidate>, now: Instant) -> (Talk, bool) {
    candidate.pump();
    candidate.process.stdin.write();
    let is_late = now >= candidate.deadline;
    if candidate.process.status.is_none() && !candidate.killed {
        if !is_late {
            return (Talk::Running(fd, candidate), false);
        }
        candidate.answer.timed_out = true;
    }
    candidate.killed = true;
    end_all();
    if candidate.process.status.is_none() || meter::candidate_processes() > 0 {
        // The dead are reaped in the next round.
        return (Talk::Running(fd, candidate), false);
    }
    candidate.pump();
    disk::unmount_candidate();
    (Talk::Telling(fd, exchange::write(&candidate.finish(now)), 0), true)
}

/// Ends every process of the candidate's user, at once; the agent's own rights are put aside meanwhile.
fn end_all() {
    // Becoming the user cannot fail for guest root; if it did, the processes are found again in the next round.
    let _ = user::as_user(CANDIDATE_UID, process::kill_all);
}

impl Candidate {
    fn pump(&mut self) {
        let mut piece = vec![0; READ_BYTES];
        for (stream, kept) in self.process.streams.iter_mut().zip(&mut self.outputs) {
            while let Some(fd) = stream {
                match process::read(fd, &mut piece) {
                    Read::Later => break,
                    Read::Closed => *stream = None,
                    Read::Some(count) => {
                        let room = (self.keep_bytes - kept.len()).min(count);
                        kept.extend_from_slice(piece.get(..room).unwrap_or_default());
                        if room < count {
                            self.answer.truncated = true;
                            self.killed = true;
                            break;
                        }
                    }
                }
            }
        }
    }

    fn finish(mut self, now: Instant) -> Answer {
        let [stdout, stderr] = self.outputs;
        let status = self.process.status;
        self.answer.exit_code = status.and_then(WaitStatus::exit_status);
        self.answer.signal = status.and_then(WaitStatus::terminating_signal);
        self.answer.wall_ms = u64::try_from((now - self.started).as_millis()).unwrap_or(u64::MAX);
        self.answer.stdout = Bytes(stdout);
        self.answer.stderr = Bytes(stderr);
        self.answer
    }
}
