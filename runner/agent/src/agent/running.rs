//! The job while it runs: its output out, its limits watched, and in the end nothing of it left.
//!
//! Invariant: the first cause that ends the job is the one that is reported; limits that were only touched are reported
//! beside it.

use super::{
    candidates::Candidates,
    disk, files,
    host::Host,
    meter::{self, Processor},
    process::{self, Process, Read},
};
use alphagate_agent::{
    JOB_FOLDER, SCRATCH_FOLDER,
    message::{CHUNK_MAX_BYTES, Ended, FromAgent, How, RESULT_MAX_BYTES, ToAgent},
};
use alphagate_contract::job::{FilePath, LimitKind, Limits, dispatch::Stream};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Signal, WaitStatus},
    stdio::{stdin, stdout},
};
use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

/// How often the cheap gauges are read: what a job touches for less may go unseen, and 50 looks a second cost under 1 %.
const GLANCE: Duration = Duration::from_millis(20);
/// How often every process is looked at.
const LOOK: Duration = Duration::from_millis(80);
/// How soon to look again when the pipes are closed and the process has yet to be reaped.
const SOON: Duration = Duration::from_millis(1);
/// How long the dead may take to be reaped; then the runner ends the sandbox as it is.
const REAP_MAX: Duration = Duration::from_secs(2);

/// Variables that every program gets.
pub fn base_env() -> Vec<(String, String)> {
    let pairs = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", JOB_FOLDER),
        ("LANG", "C.UTF-8"),
        ("TMPDIR", SCRATCH_FOLDER),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// A job that runs.
pub struct Running {
    job: Process,
    limits: Limits,
    artefacts: Vec<FilePath>,
    result: Option<OwnedFd>,
    result_bytes: Vec<u8>,
    candidates: Option<Candidates>,
    hit: BTreeSet<LimitKind>,
    ending: Option<How>,
    output_left: u64,
    truncated: Option<Stream>,
    started: Instant,
    glanced: Instant,
    looked: Instant,
    cpu: Processor,
    is_crowded: bool,
    memory_peak_bytes: u64,
    buffer: Vec<u8>,
}

/// What a running job is made of.
pub struct Parts {
    /// Its process.
    pub job: Process,
    /// What it may use.
    pub limits: Limits,
    /// What it hands back.
    pub artefacts: Vec<FilePath>,
    /// The reading end of a grader's result channel.
    pub result: Option<OwnedFd>,
    /// The helper of a grader.
    pub candidates: Option<Candidates>,
    /// Processor time that was used before it began.
    pub baseline_cpu_ms: u64,
    /// Processors that the sandbox has.
    pub cpus: u32,
}

impl Running {
    /// From now on the clock runs.
    pub fn new(parts: Parts, now: Instant) -> Self {
        Self {
            job: parts.job,
            limits: parts.limits,
            artefacts: parts.artefacts,
            result: parts.result,
            result_bytes: Vec::new(),
            candidates: parts.candidates,
            hit: BTreeSet::new(),
            ending: None,
            output_left: parts.limits.output_bytes,
            truncated: None,
            started: now,
            glanced: now,
            looked: now,
            cpu: Processor::new(parts.baseline_cpu_ms, parts.cpus),
            is_crowded: false,
            memory_peak_bytes: 0,
            buffer: vec![0; CHUNK_MAX_BYTES],
        }
    }

    /// Runs the job to its end and reports it.
    pub fn run(mut self, host: &mut Host) -> io::Result<()> {
        let mut is_ready = true;
        while self.ending.is_none() {
            let now = Instant::now();
            if is_ready {
                self.exchange(host, now)?;
            }
            self.reap();
            self.watch(now);
            if let Some(status) = self.job.status {
                self.end(self.how(status));
            }
            host.write()?;
            if self.ending.is_none() {
                is_ready = self.wait(host)?;
            }
        }
        self.finish(host)
    }

    /// Reads and writes whatever can be, without waiting.
    fn exchange(&mut self, host: &mut Host, now: Instant) -> io::Result<()> {
        host.read()?;
        while let Some(message) = host.next_message().map_err(io::Error::other)? {
            if let ToAgent::Stop(limit) = message {
                self.end(limit.map_or(How::Stopped, |limit| How::Limited { limit }));
            }
        }
        if host.is_gone {
            self.end(How::Stopped);
        }
        self.job.stdin.write();
        self.pump(host)?;
        self.read_result();
        if let Some(candidates) = &mut self.candidates {
            candidates.step(now);
        }
        Ok(())
    }

    fn end(&mut self, how: How) {
        if let How::Limited { limit } = how {
            self.hit.insert(limit);
        }
        self.ending.get_or_insert(how);
    }

    fn how(&self, status: WaitStatus) -> How {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => How::Exited { code },
            (None, Some(signal)) if signal == Signal::XCPU.as_raw() => How::Limited { limit: LimitKind::Cpu },
            (None, signal) => How::Signaled { signal: signal.unwrap_or(0) },
        }
    }

    /// Waits for a descriptor or a moment; whether it was a descriptor, or a candidate's moment.
    fn wait(&self, host: &Host) -> io::Result<bool> {
        let mut fds = vec![PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        if host.has_mail() {
            fds.push(PollFd::from_borrowed_fd(stdout(), PollFlags::OUT));
        }
        let mut interests = self.job.interests(host.has_room());
        interests.extend(self.result.iter().map(|fd| (fd.as_fd(), PollFlags::IN)));
        interests.extend(self.candidates.iter().flat_map(Candidates::interests));
        fds.extend(interests.into_iter().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
        let is_over = self.job.streams.iter().all(Option::is_none);
        let patience = if is_over || self.is_crowded { SOON } else { GLANCE };
        let due = self.candidates.as_ref().and_then(Candidates::deadline);
        let due = due.map_or(patience, |due| due.saturating_duration_since(Instant::now()).min(patience));
        let timeout = Timespec::try_from(due).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&timeout)) {
            // A candidate has deadlines, and dead to be counted.
            Ok(0) | Err(Errno::INTR) => Ok(self.candidates.as_ref().is_some_and(Candidates::is_running)),
            Ok(_) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Passes on what the job has written, as far as the runner takes it.
    fn pump(&mut self, host: &mut Host) -> io::Result<()> {
        for (index, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            while host.has_room()
                && let Some(Some(fd)) = self.job.streams.get(index)
            {
                match process::read(fd, &mut self.buffer) {
                    Read::Later => break,
                    Read::Closed => {
                        if let Some(slot) = self.job.streams.get_mut(index) {
                            *slot = None;
                        }
                    }
                    Read::Some(count) => self.pass_on(stream, count, host),
                }
                host.write()?;
            }
        }
        Ok(())
    }

    fn pass_on(&mut self, stream: Stream, count: usize, host: &mut Host) {
        let room = usize::try_from(self.output_left).unwrap_or(usize::MAX).min(count);
        if room > 0 {
            let bytes = self.buffer.get(..room).unwrap_or_default();
            FromAgent::encode_output(stream, bytes, host.outbox());
            self.output_left -= room as u64;
        }
        if room < count {
            self.truncated.get_or_insert(stream);
            // What goes beyond ends the job, even one that has just exited by itself.
            self.hit.insert(LimitKind::Output);
            if matches!(self.ending, None | Some(How::Exited { .. })) {
                self.ending = Some(How::Limited { limit: LimitKind::Output });
            }
        }
    }

    fn read_result(&mut self) {
        while let Some(fd) = &self.result {
            match process::read(fd, &mut self.buffer) {
                Read::Later => return,
                Read::Closed => self.result = None,
                // One byte more than allowed is kept, so that a longer one is known as such.
                Read::Some(count) => {
                    let room = (RESULT_MAX_BYTES + 1 - self.result_bytes.len()).min(count);
                    self.result_bytes.extend_from_slice(self.buffer.get(..room).unwrap_or_default());
                }
            }
        }
    }

    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = process::reap() {
            if pid == self.job.pid {
                self.job.status = Some(status);
            } else if let Some(candidates) = &mut self.candidates {
                candidates.ended(pid, status);
            }
        }
    }

    fn watch(&mut self, now: Instant) {
        let tasks = meter::tasks();
        // Close to the limit it is looked at more often: a fork bomb stays just below it most of the time.
        self.is_crowded = tasks > self.limits.pids / 4 * 3 && !self.hit.contains(&LimitKind::Pids);
        if tasks >= self.limits.pids {
            self.hit.insert(LimitKind::Pids);
        }
        let elapsed_ms = u64::try_from((now - self.started).as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms >= self.limits.wall_ms {
            self.end(How::Limited { limit: LimitKind::Wall });
        }
        if now - self.glanced < GLANCE {
            return;
        }
        self.glanced = now;
        let fill = disk::fill();
        if fill.is_full {
            self.hit.insert(LimitKind::Disk);
        }
        if now - self.looked >= LOOK {
            self.look(now, fill.used_bytes);
        }
    }

    fn look(&mut self, now: Instant, disk_bytes: u64) {
        if let Some(sum_ms) = meter::processor_ms_of_few() {
            self.cpu.count(sum_ms, now - self.looked);
        }
        self.looked = now;
        if self.cpu.used_ms >= self.limits.cpu_ms {
            self.end(How::Limited { limit: LimitKind::Cpu });
        }
        let has_candidate = self.candidates.as_ref().is_some_and(Candidates::is_running);
        let disk_bytes = disk_bytes + if has_candidate { disk::candidate_bytes() } else { 0 };
        let memory = meter::memory(self.job.pid.as_raw_pid().unsigned_abs(), has_candidate, disk_bytes);
        self.memory_peak_bytes = self.memory_peak_bytes.max(memory.job_bytes + memory.candidate_bytes);
        if memory.job_bytes > self.limits.memory_bytes {
            self.end(How::Limited { limit: LimitKind::Memory });
        }
        if let Some(candidates) = &mut self.candidates {
            candidates.watch_memory(memory.candidate_bytes);
        }
    }

    fn finish(mut self, host: &mut Host) -> io::Result<()> {
        let wall_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.end_everything();
        // Nobody writes any more: what is left in the pipes ends.
        while self.job.streams.iter().any(Option::is_some) {
            self.pump(host)?;
            host.flush()?;
        }
        self.read_result();
        // What filled the disk since the last look is still there.
        let ended_by_size =
            self.job.status.and_then(WaitStatus::terminating_signal) == Some(Signal::XFSZ.as_raw());
        if ended_by_size || disk::fill().is_full {
            self.hit.insert(LimitKind::Disk);
        }
        self.cpu.count(meter::processor_ms(), self.looked.elapsed());
        let too_large = files::hand_back(&self.artefacts, host)?;
        if too_large {
            self.hit.insert(LimitKind::Output);
        }
        if self.result_bytes.len() <= RESULT_MAX_BYTES {
            let chunks = self.result_bytes.chunks(CHUNK_MAX_BYTES);
            chunks.for_each(|chunk| host.say(&FromAgent::Result(chunk.to_vec())));
        }
        host.say(&FromAgent::Ended(Ended {
            how: self.ending.unwrap_or(How::Stopped),
            limits_hit: self.hit.into_iter().collect(),
            wall_ms,
            cpu_ms: self.cpu.used_ms,
            memory_peak_bytes: self.memory_peak_bytes,
            truncated: self.truncated,
        }));
        host.flush()
    }

    /// Ends every process but the agent, and waits until none is left.
    fn end_everything(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < REAP_MAX {
            process::kill_all();
            loop {
                match process::reap() {
                    Ok(Some((pid, status))) if pid == self.job.pid => self.job.status = Some(status),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
            std::thread::sleep(SOON);
        }
    }
}
