//! Starting a program as another user, with its bounds, and the agent's ends of its pipes.

use super::{syscalls, user};
use rustix::{
    event::PollFlags,
    fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus},
};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

/// Open files of one process. Programs that read `RLIMIT_NOFILE` and close everything stay quick.
const FILES_MAX: u64 = 1024;
/// How much more processor time the kernel may count before it acts: it counts waiting for a processor, too, and the agent
/// counts exactly.
const CPU_MARGIN: u64 = 8;
/// The first descriptor that is handed over beside the three standard ones.
pub const FIRST_HANDED_FD: i32 = 3;
/// Descriptors are handed over onto numbers below this; the agent's own are kept above, so that none is overwritten.
const HANDED_FDS_END: i32 = 10;

/// What one process of a user may do.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Processor time, milliseconds, if it is known; the agent counts exactly, this is what the kernel does meanwhile.
    pub cpu_ms: Option<u64>,
    /// Processes and threads of its user.
    pub pids: u32,
    /// Longest file, bytes.
    pub file_bytes: u64,
    /// Memory that the process may ask for, bytes, if asking for more is to fail.
    pub data_bytes: Option<u64>,
}

impl Bounds {
    fn rlimits(self) -> Vec<(Resource, Rlimit)> {
        let both = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
        let mut limits = vec![
            (Resource::Nproc, both(self.pids.into())),
            (Resource::Fsize, both(self.file_bytes)),
            (Resource::Nofile, both(FILES_MAX)),
            (Resource::Core, both(0)),
        ];
        limits.extend(self.data_bytes.map(|bytes| (Resource::Data, both(bytes))));
        limits.extend(self.cpu_ms.map(|cpu_ms| (Resource::Cpu, processor_limit(cpu_ms))));
        limits
    }
}

/// Bounds the processor time of a process that runs already.
pub fn bound_processor(pid: Pid, cpu_ms: u64) -> io::Result<()> {
    rustix::process::prlimit(Some(pid), Resource::Cpu, processor_limit(cpu_ms))?;
    Ok(())
}

fn processor_limit(cpu_ms: u64) -> Rlimit {
    let cpu_s = cpu_ms.div_ceil(1000).saturating_add(1).saturating_mul(CPU_MARGIN);
    Rlimit { current: Some(cpu_s), maximum: Some(cpu_s.saturating_add(1)) }
}

/// What is to be started.
pub struct Launch {
    /// The program, looked up in `PATH`, and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub folder: &'static CStr,
    /// Its user and group.
    pub user: u32,
    /// Its bounds.
    pub bounds: Bounds,
    /// Whether what it makes is nobody else's to read.
    pub private: bool,
    /// Descriptors that it gets as 3, 4, …
    pub handed: Vec<OwnedFd>,
}

/// A started program.
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its standard input.
    pub stdin: Feed,
    /// Its standard output and error, until they are closed.
    pub streams: [Option<OwnedFd>; 2],
    /// How it ended, once it has.
    pub status: Option<WaitStatus>,
}

impl Launch {
    /// Starts it, with standard input still empty and open.
    pub fn start(self) -> io::Result<Process> {
        let program = syscalls::Program::new(self.argv, &self.env)?;
        // Made as the user, the pipes are its own: it can open `/dev/stdout` by that name.
        let pipes = user::as_user(self.user, standard_pipes)??;
        let [(stdin_reader, stdin), (stdout, stdout_writer), (stderr, stderr_writer)] = pipes;
        let handed = [stdin_reader, stdout_writer, stderr_writer].into_iter().chain(self.handed);
        let handed: Vec<OwnedFd> = handed.map(out_of_the_way).collect::<io::Result<_>>()?;
        let moves: Vec<(i32, i32)> = handed.iter().map(|fd| fd.as_raw_fd()).zip(0..).collect();
        let limits = self.bounds.rlimits();
        let (id, mask, folder) = (self.user, if self.private { 0o077 } else { 0o022 }, self.folder);
        let pid = syscalls::start(&program, &mut || {
            rustix::process::setpgid(None, None)?;
            rustix::process::umask(Mode::from(mask));
            for (source, target) in &moves {
                syscalls::hand_over(*source, *target)?;
            }
            for (resource, limit) in &limits {
                rustix::process::setrlimit(*resource, *limit)?;
            }
            user::become_user(id)?;
            // As the user: a private folder is closed to guest root, which has no rights over files.
            Ok(rustix::process::chdir(folder)?)
        })?;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let pid = Pid::from_raw(pid).ok_or_else(gone)?;
        let (stdin, stdout, stderr) = (unblock(stdin)?, unblock(stdout)?, unblock(stderr)?);
        let stdin = Feed { fd: Some(stdin), bytes: Vec::new(), at: 0 };
        Ok(Process { pid, stdin, streams: [Some(stdout), Some(stderr)], status: None })
    }
}

impl Process {
    /// What to wait for; its output only if there is room for it.
    pub fn interests(&self, has_room: bool) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let streams =
            self.streams.iter().flatten().filter(|_| has_room).map(|fd| (fd.as_fd(), PollFlags::IN));
        streams.chain(self.stdin.fd.iter().map(|fd| (fd.as_fd(), PollFlags::OUT))).collect()
    }
}

/// Keeps the numbers that are handed over free of the agent's own descriptors; to be called once, and kept.
pub fn reserve_low_descriptors() -> io::Result<Vec<OwnedFd>> {
    let mut reserved = Vec::new();
    loop {
        let fd = OwnedFd::from(std::fs::File::open("/dev/null")?);
        if fd.as_raw_fd() >= HANDED_FDS_END {
            return Ok(reserved);
        }
        reserved.push(fd);
    }
}

fn out_of_the_way(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= HANDED_FDS_END {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, HANDED_FDS_END)?)
}

fn unblock(fd: OwnedFd) -> io::Result<OwnedFd> {
    fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
    Ok(fd)
}

/// Three pipes, each the reading end first.
fn standard_pipes() -> io::Result<[(OwnedFd, OwnedFd); 3]> {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    Ok([pipe()?, pipe()?, pipe()?])
}

/// A pipe of which the agent has the reading end, without blocking.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((unblock(reader)?, writer))
}

/// What a read found.
pub enum Read {
    /// So many bytes.
    Some(usize),
    /// Nothing now.
    Later,
    /// Nothing ever again.
    Closed,
}

/// Reads without waiting.
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> Read {
    match rustix::io::read(fd, buffer) {
        Ok(0) => Read::Closed,
        Ok(count) => Read::Some(count),
        Err(Errno::AGAIN | Errno::INTR) => Read::Later,
        Err(_) => Read::Closed,
    }
}

/// Bytes that a program's standard input still has to get.
pub struct Feed {
    /// The pipe, until all is written or the program has closed it.
    pub fd: Option<OwnedFd>,
    bytes: Vec<u8>,
    at: usize,
}

impl Feed {
    /// All that it will get.
    pub fn give(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
        self.write();
    }

    /// Writes what fits; closes the pipe after the last byte.
    pub fn write(&mut self) {
        while let Some(fd) = &self.fd {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                self.fd = None;
                break;
            }
            match rustix::io::write(fd, rest) {
                Ok(count) => self.at += count,
                Err(Errno::AGAIN | Errno::INTR) => return,
                Err(_) => self.fd = None,
            }
        }
        self.bytes = Vec::new();
    }
}

/// The next process that has ended, whosever it was; an error if there is none left at all.
pub fn reap() -> rustix::io::Result<Option<(Pid, WaitStatus)>> {
    rustix::process::wait(WaitOptions::NOHANG)
}

/// Ends every process that the agent may end now: all but itself as root, those of one user as that user.
pub fn kill_all() {
    // `kill(-1)`: rustix negates the id. That there is nobody to end is no fault.
    let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
}
