//! The agent's life: up, hello, perhaps an interpreter ahead, one job, the end.

use super::{
    ahead::Ahead,
    candidates::{Candidates, module_folder, socket_path},
    disk, files,
    host::Host,
    meter,
    process::{self, Bounds, FIRST_HANDED_FD, Launch, Process},
    running::{Parts, Running, base_env},
    syscalls, user,
};
use alphagate_agent::{
    CPUS_VARIABLE, JOB_FOLDER, JOB_UID,
    message::{Ended, FromAgent, Hello, How, ToAgent, VERSION},
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
    let mut session = Session { ahead: None, result: None };
    loop {
        let message = host.next_message().map_err(io::Error::other)?;
        match message {
            Some(ToAgent::Ahead { language, grader }) => {
                session.start_ahead(language, grader)?;
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
    ahead: Option<Ahead>,
    result: Option<OwnedFd>,
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

    fn of_agent(error: &io::Error) -> Self {
        Self::NotStarted("agent_failed", error.to_string())
    }
}

impl Session {
    fn start_ahead(&mut self, language: alphagate_contract::job::Language, grader: bool) -> io::Result<()> {
        let writer = if grader { Some(self.result_channel()?) } else { None };
        self.ahead = Ahead::start(language, grader, writer)?;
        Ok(())
    }

    fn result_channel(&mut self) -> io::Result<OwnedFd> {
        let (reader, writer) = process::pipe()?;
        self.result = Some(reader);
        Ok(writer)
    }

    fn run(mut self, spec: SandboxSpec, host: &mut Host) -> io::Result<()> {
        match self.prepare(spec) {
            Ok(parts) => {
                host.say(&FromAgent::Started);
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

    fn prepare(&mut self, spec: SandboxSpec) -> Result<Parts, Refusal> {
        let own = own_limits(&spec);
        disk::mount_disk(own.disk_bytes, spec.grader).map_err(|error| Refusal::of_agent(&error))?;
        files::place(JOB_FOLDER, &spec.files, JOB_UID, spec.grader)
            .map_err(|error| Refusal::of_files(&error))?;
        let candidates = spec.grader.then(|| Candidates::listen(candidate_limits(&spec.limits))).transpose();
        let candidates = candidates.map_err(|error| Refusal::of_agent(&error))?;
        let bounds =
            Bounds { cpu_ms: own.cpu_ms, pids: own.pids, file_bytes: own.disk_bytes, data_bytes: None };
        if let Some(ahead) = &self.ahead {
            ahead.bound(bounds).map_err(|error| Refusal::of_agent(&error))?;
        }
        user::give_up_capabilities(spec.grader).map_err(|error| Refusal::of_agent(&error))?;
        let baseline_cpu_ms = meter::processor_ms();
        let mut job = self.start(&spec, bounds)?;
        job.stdin.give(spec.stdin.0);
        Ok(Parts {
            job,
            limits: spec.limits,
            artefacts: spec.artefacts,
            result: self.result.take(),
            candidates,
            baseline_cpu_ms,
            cpus: processors(),
        })
    }

    fn start(&mut self, spec: &SandboxSpec, bounds: Bounds) -> Result<Process, Refusal> {
        if let Some(ahead) = self.ahead.take() {
            if ahead.fits(spec) {
                let env = environment(spec, FIRST_HANDED_FD + AHEAD_FDS);
                return ahead.go(&spec.argv, &env).map_err(|error| Refusal::of_agent(&error));
            }
            process::kill_all();
            self.result = None;
        }
        let mut handed = Vec::new();
        if spec.grader {
            handed.push(self.result_channel().map_err(|error| Refusal::of_agent(&error))?);
        }
        let mut argv: Vec<String> = spec.language.command().iter().map(|&word| word.to_owned()).collect();
        argv.push(format!("{JOB_FOLDER}/{}", spec.entry));
        argv.extend_from_slice(&spec.argv);
        let program = argv.first().cloned().unwrap_or_default();
        let launch = Launch {
            argv,
            env: environment(spec, FIRST_HANDED_FD),
            folder: c"/job",
            user: JOB_UID,
            bounds: Some(bounds),
            private: spec.grader,
            handed,
        };
        launch.start().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Refusal::NotStarted(
                "language_unavailable",
                format!("the image {:?} has no {program}", spec.image),
            ),
            io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => {
                Refusal::NotStarted("files_refused", format!("the arguments or variables: {error}"))
            }
            _ => Refusal::of_agent(&error),
        })
    }
}

/// Processors that the sandbox may use: what the engine says, else what the kernel shows.
fn processors() -> u32 {
    let given = std::env::var(CPUS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let shown = || std::thread::available_parallelism().ok().and_then(|cpus| u32::try_from(cpus.get()).ok());
    given.or_else(shown).unwrap_or(1)
}

/// A grader shares its limits with its candidates, half and half, so that neither can starve the other.
fn own_limits(spec: &SandboxSpec) -> Limits {
    if !spec.grader {
        return spec.limits;
    }
    let limits = spec.limits;
    Limits {
        pids: limits.pids - limits.pids / 2,
        disk_bytes: limits.disk_bytes - limits.disk_bytes / 2,
        ..limits
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
