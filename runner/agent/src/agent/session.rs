//! The agent's life: up, hello, perhaps everything that a class of jobs needs ahead of them, one job, the end.
//!
//! What depends on the class alone (the disk, a grader's door, the interpreter) is made while nobody waits; between the
//! job and its first line are then only its files, its limits, its arguments and its variables.

use super::{
    ahead::Ahead,
    candidates::{Candidates, Door, module_folder, socket_path},
    disk, files,
    host::Host,
    meter,
    process::{self, Bounds, FIRST_HANDED_FD, Launch, Process},
    running::{Parts, Running, base_env},
    syscalls, user,
};
use alphagate_agent::{
    CPUS_VARIABLE, JOB_FOLDER, JOB_UID,
    message::{self, Ended, FromAgent, Hello, How, ToAgent, VERSION},
};
use alphagate_contract::job::{LimitKind, Limits, SandboxSpec};
use rustix::{
    event::{PollFd, PollFlags, poll},
    stdio::stdin,
};
use std::{io, os::fd::OwnedFd, time::Instant};

/// Descriptors that an interpreter ahead gets before the result channel: its order, and where it says that it waits.
const AHEAD_FDS: i32 = 2;

/// Serves the one job of this sandbox.
pub fn serve() -> io::Result<()> {
    user::harden()?;
    let _reserved = process::reserve_low_descriptors()?;
    let mut host = Host::new()?;
    let kernel = syscalls::boot_message();
    meter::note_kernel(&kernel);
    host.say(&FromAgent::Hello(Hello { version: VERSION, kernel }));
    host.flush()?;
    let mut session = Session { ground: None, ahead: None, result: None };
    loop {
        let message = host.next_message().map_err(io::Error::other)?;
        match message {
            Some(ToAgent::Ahead(ahead)) => {
                session.make_ready(ahead)?;
                host.say(&FromAgent::Ready);
                host.flush()?;
            }
            Some(ToAgent::Job(spec)) => return session.run(*spec, &mut host),
            Some(ToAgent::Stop(_)) => return Ok(()),
            None if host.is_gone => return Ok(()),
            None => {
                poll(&mut [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)], None)?;
                host.read()?;
            }
        }
    }
}

struct Session {
    ground: Option<Ground>,
    ahead: Option<Ahead>,
    result: Option<OwnedFd>,
}

/// What a job stands on: its disk, and a grader's door; and the limits that were known by then.
struct Ground {
    disk_bytes: u64,
    pids: u32,
    door: Option<Door>,
}

impl Ground {
    fn lay(disk_bytes: u64, pids: u32, grader: bool) -> io::Result<Self> {
        disk::mount_disk(own_disk_bytes(disk_bytes, grader), grader)?;
        Ok(Self { disk_bytes, pids, door: grader.then(Door::open).transpose()? })
    }

    /// Whether it is what this job is to stand on.
    const fn fits(&self, spec: &SandboxSpec) -> bool {
        self.disk_bytes == spec.limits.disk_bytes
            && self.pids == spec.limits.pids
            && self.door.is_some() == spec.grader
    }
}

/// Why a job could not be started, as its report will say.
enum Refusal {
    Limited(LimitKind),
    NotStarted(&'static str, String),
}

impl Refusal {
    fn of_files(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull => Self::Limited(LimitKind::Disk),
            _ => Self::NotStarted("files_refused", format!("the files cannot be placed: {error}")),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
    fn of_agent(error: io::Error) -> Self {
        Self::NotStarted("agent_failed", error.to_string())
    }
}

impl Session {
    fn make_ready(&mut self, ahead: message::Ahead) -> io::Result<()> {
        self.ground = Some(Ground::lay(ahead.disk_bytes, ahead.pids, ahead.grader)?);
        let writer = if ahead.grader { Some(self.result_channel()?) } else { None };
        let bounds = bounds(None, ahead.pids, ahead.disk_bytes, ahead.grader);
        self.ahead = Ahead::start(ahead.language, ahead.grader, bounds, writer)?;
        Ok(())
    }

    fn result_channel(&mut self) -> io::Result<OwnedFd> {
        let (reader, writer) = process::pipe()?;
        self.result = Some(reader);
        Ok(writer)
    }

    fn run(mut self, spec: SandboxSpec, host: &mut Host) -> io::Result<()> {
        match self.prepare(spec) {
            Ok((parts, prestarted)) => {
                host.say(&FromAgent::Started { prestarted });
                host.write()?;
                Running::new(parts, Instant::now()).run(host)
            }
            Err(refusal) => {
                process::kill_all();
                let (how, limits_hit) = match refusal {
                    Refusal::Limited(limit) => (How::Limited { limit }, vec![limit]),
                    Refusal::NotStarted(code, message) => {
                        (How::NotStarted { code: code.to_owned(), message }, vec![])
                    }
                };
                let (wall_ms, cpu_ms, memory_peak_bytes) = (0, 0, 0);
                let ended = Ended { how, limits_hit, wall_ms, cpu_ms, memory_peak_bytes, truncated: None };
                host.say(&FromAgent::Ended(ended));
                host.flush()
            }
        }
    }

    /// Starts the job; with it, whether an interpreter that waited became it.
    fn prepare(&mut self, spec: SandboxSpec) -> Result<(Parts, bool), Refusal> {
        let ground = match self.ground.take() {
            Some(ground) if ground.fits(&spec) => ground,
            Some(_) => {
                let message = "the sandbox was made ready for a job of another class".to_owned();
                return Err(Refusal::NotStarted("agent_failed", message));
            }
            None => Ground::lay(spec.limits.disk_bytes, spec.limits.pids, spec.grader)
                .map_err(Refusal::of_agent)?,
        };
        files::place(JOB_FOLDER, &spec.files, JOB_UID, spec.grader)
            .map_err(|error| Refusal::of_files(&error))?;
        let candidates = ground.door.map(|door| Candidates::new(door, candidate_limits(&spec.limits)));
        let ahead = self.ahead.take();
        if let Some(ahead) = &ahead {
            ahead.bound(spec.limits.cpu_ms).map_err(Refusal::of_agent)?;
        }
        user::give_up_capabilities(spec.grader).map_err(Refusal::of_agent)?;
        let (mut job, baseline_cpu_ms, prestarted) = self.start(ahead, &spec)?;
        job.stdin.give(spec.stdin.0);
        let parts = Parts {
            job,
            limits: spec.limits,
            artefacts: spec.artefacts,
            result: self.result.take(),
            candidates,
            baseline_cpu_ms,
            cpus: processors(),
        };
        Ok((parts, prestarted))
    }

    /// The job's process, the processor time that was used before it, and whether it had waited.
    fn start(&mut self, ahead: Option<Ahead>, spec: &SandboxSpec) -> Result<(Process, u64, bool), Refusal> {
        if let Some(ahead) = ahead {
            if ahead.fits(spec) {
                let (baseline_cpu_ms, env) =
                    (ahead.used_cpu_ms, environment(spec, FIRST_HANDED_FD + AHEAD_FDS));
                let process = ahead.go(&spec.argv, &env).map_err(Refusal::of_agent)?;
                return Ok((process, baseline_cpu_ms, true));
            }
            process::kill_all();
            self.result = None;
        }
        let result = if spec.grader { Some(self.result_channel().map_err(Refusal::of_agent)?) } else { None };
        let baseline_cpu_ms = meter::processor_ms();
        Ok((start_afresh(spec, result)?, baseline_cpu_ms, false))
    }
}

fn start_afresh(spec: &SandboxSpec, result: Option<OwnedFd>) -> Result<Process, Refusal> {
    let limits = spec.limits;
    let mut argv: Vec<String> = spec.language.command().iter().map(|&word| word.to_owned()).collect();
    argv.push(format!("{JOB_FOLDER}/{}", spec.entry));
    argv.extend_from_slice(&spec.argv);
    let program = argv.first().cloned().unwrap_or_default();
    let launch = Launch {
        argv,
        env: environment(spec, FIRST_HANDED_FD),
        folder: c"/job",
        user: JOB_UID,
        bounds: bounds(Some(limits.cpu_ms), limits.pids, limits.disk_bytes, spec.grader),
        private: spec.grader,
        handed: result.into_iter().collect(),
    };
    launch.start().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Refusal::NotStarted(
            "language_unavailable",
            format!("the image {:?} has no {program}", spec.image),
        ),
        io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => {
            Refusal::NotStarted("files_refused", format!("the arguments or variables: {error}"))
        }
        _ => Refusal::of_agent(error),
    })
}

/// Processors that the sandbox may use: what the engine says, else what the kernel shows.
fn processors() -> u32 {
    let given = std::env::var(CPUS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let shown = || std::thread::available_parallelism().ok().and_then(|cpus| u32::try_from(cpus.get()).ok());
    given.or_else(shown).unwrap_or(1)
}

/// A grader shares its disk with its candidates, half and half, so that neither can starve the other.
const fn own_disk_bytes(disk_bytes: u64, grader: bool) -> u64 {
    if grader { disk_bytes - disk_bytes / 2 } else { disk_bytes }
}

/// What the job's own process may do; a grader shares with its candidates.
const fn bounds(cpu_ms: Option<u64>, pids: u32, disk_bytes: u64, grader: bool) -> Bounds {
    Bounds {
        cpu_ms,
        pids: if grader { pids - pids / 2 } else { pids },
        file_bytes: own_disk_bytes(disk_bytes, grader),
        data_bytes: None,
    }
}

fn candidate_limits(limits: &Limits) -> Limits {
    Limits {
        pids: (limits.pids / 2).max(1),
        disk_bytes: (limits.disk_bytes / 2).max(1),
        memory_bytes: limits.memory_bytes / 2,
        ..*limits
    }
}

fn environment(spec: &SandboxSpec, result_fd: i32) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = base_env();
    env.retain(|(name, _)| !spec.env.contains_key(name));
    env.extend(spec.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    if spec.grader {
        env.retain(|(name, _)| name != "PYTHONPATH");
        let theirs = spec.env.get("PYTHONPATH").map(|path| format!(":{path}")).unwrap_or_default();
        env.push(("PYTHONPATH".to_owned(), format!("{}{theirs}", module_folder())));
        env.push(("AG_RESULT_FD".to_owned(), result_fd.to_string()));
        env.push(("AG_CANDIDATE_SOCKET".to_owned(), socket_path()));
    }
    env
}
