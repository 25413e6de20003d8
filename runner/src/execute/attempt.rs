//! The conversation with one agent, from the job to its last frame.
//!
//! Invariant: it ends: by the agent's last frame, by the end of the pipe, by a deadline, or by a stop; a sink that does
//! not take output holds back the job, never its end.

use super::Sink;
use crate::{
    classify::Facts,
    output::Budget,
    pool::Start,
    sandbox::{
        Sandbox,
        link::{Link, LinkError},
    },
};
use alphagate_agent::message::{ARTEFACTS_MAX_BYTES, FromAgent, RESULT_MAX_BYTES, ToAgent};
use alphagate_contract::job::{
    Bytes, Ending, File, FilePath, Isolation, LimitKind, Report, SandboxSpec, Used,
};
use std::{collections::BTreeMap, time::Instant};
use tokio::time::{
    Duration, Instant as Deadline, Interval, MissedTickBehavior, interval, sleep_until, timeout,
};
use tokio_util::sync::CancellationToken;

/// How long the agent may take to place the files and start the interpreter, on a busy host.
const START_MAX: Duration = Duration::from_secs(30);
/// How long after its time a job may go on, for its agent to end it and to hand everything back.
const END_MAX: Duration = Duration::from_secs(4);
/// How often the host's count of processor time is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a stopped job may take to hand back what it wrote.
const STOP_MAX: Duration = Duration::from_millis(700);

/// One attempt at a job.
pub struct Attempt<'a> {
    spec: &'a SandboxSpec,
    link: Link,
    begun: Instant,
    budget: Budget,
    artefacts: BTreeMap<FilePath, Vec<u8>>,
    artefact_bytes: usize,
    result: Option<Vec<u8>>,
    start_ms: u64,
    deadline: Deadline,
    /// Whether the agent has been told to end it.
    stopping: bool,
    looks: Interval,
    has_looked: bool,
    baseline_ms: Option<u64>,
    processor_ms: Option<u64>,
    /// Keeps the host quiet until the job's first output, or the first look after its start.
    start: Option<Start>,
    /// What is known so far.
    pub facts: Facts,
}

/// Whether to go on listening.
#[derive(PartialEq, Eq)]
enum Next {
    Listen,
    End,
}

impl<'a> Attempt<'a> {
    /// An attempt at a job, by an agent that waits for it.
    pub fn new(spec: &'a SandboxSpec, link: Link, begun: Instant, start: Option<Start>) -> Self {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            spec,
            link,
            begun,
            budget: Budget::new(spec.limits.output_bytes),
            artefacts: BTreeMap::new(),
            artefact_bytes: 0,
            result: None,
            start_ms: 0,
            deadline: Deadline::now() + START_MAX,
            stopping: false,
            looks,
            has_looked: false,
            baseline_ms: None,
            processor_ms: None,
            start,
            facts: Facts::default(),
        }
    }

    /// Hands over the job and listens until there is nothing more to hear.
    pub async fn converse(
        &mut self,
        sandbox: &mut dyn Sandbox,
        sink: &mut impl Sink,
        stop: &CancellationToken,
    ) {
        let job = ToAgent::Job(Box::new(self.spec.clone()));
        match timeout(START_MAX, self.link.say(&job)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return self.broke(&error),
            Err(_) => return self.facts.overdue = true,
        }
        while self.listen(sandbox, sink, stop).await == Next::Listen {}
        self.start = None;
        self.look(sandbox);
        if let Some((stream, marker)) = self.budget.marker() {
            // A stopped job's sink need not take it any more.
            let _ = timeout(STOP_MAX, sink.output(stream, marker)).await;
        }
    }

    async fn listen(
        &mut self,
        sandbox: &mut dyn Sandbox,
        sink: &mut impl Sink,
        stop: &CancellationToken,
    ) -> Next {
        let message = tokio::select! {
            message = self.link.next() => message,
            _ = self.looks.tick(), if self.facts.started && !self.stopping => {
                self.look(sandbox);
                // The first look is at the start itself.
                if std::mem::replace(&mut self.has_looked, true) {
                    self.start = None;
                }
                let is_spent = self.processor_ms.is_some_and(|spent_ms| spent_ms >= self.spec.limits.cpu_ms);
                return if is_spent { self.end_for_processor().await } else { Next::Listen };
            }
            () = stop.cancelled(), if !self.facts.stopped => return self.ask_to_stop().await,
            () = sleep_until(self.deadline) => {
                self.facts.overdue = !self.facts.stopped;
                return Next::End;
            }
        };
        match message {
            Ok(message) => self.hear(message, sink, stop).await,
            Err(error) => {
                self.broke(&error);
                Next::End
            }
        }
    }

    async fn ask_to_stop(&mut self) -> Next {
        self.facts.stopped = true;
        self.end_by_agent(None, STOP_MAX).await
    }

    async fn end_for_processor(&mut self) -> Next {
        self.facts.overspent = true;
        self.end_by_agent(Some(LimitKind::Cpu), END_MAX).await
    }

    async fn end_by_agent(&mut self, limit: Option<LimitKind>, patience: Duration) -> Next {
        self.stopping = true;
        self.deadline = Deadline::now() + patience;
        // If it cannot hear, the deadline ends it.
        let _ = timeout(patience, self.link.say(&ToAgent::Stop(limit))).await;
        Next::Listen
    }

    /// What the host counts of processor time since user code started.
    fn look(&mut self, sandbox: &mut dyn Sandbox) {
        let Some(all_ms) = sandbox.processor_ms().filter(|_| self.facts.started) else { return };
        let baseline_ms = *self.baseline_ms.get_or_insert(all_ms);
        self.processor_ms = Some(all_ms.saturating_sub(baseline_ms));
    }

    fn broke(&mut self, error: &LinkError) {
        self.facts.broken = (!matches!(error, LinkError::Gone)).then(|| error.to_string());
    }

    async fn hear(&mut self, message: FromAgent, sink: &mut impl Sink, stop: &CancellationToken) -> Next {
        match message {
            FromAgent::Started { prestarted } if !self.facts.started => {
                (self.facts.started, self.facts.prestarted) = (true, prestarted);
                self.start_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.deadline = Deadline::now() + Duration::from_millis(self.spec.limits.wall_ms) + END_MAX;
                // The first look is the baseline.
                self.looks.reset_immediately();
                self.deliver(sink.started(), stop).await
            }
            FromAgent::Output(stream, mut bytes) if self.facts.started => {
                self.start = None;
                self.budget.take(stream, &mut bytes);
                self.facts.overflowed = self.budget.is_cut();
                if self.facts.overflowed {
                    self.deliver(sink.output(stream, bytes), stop).await;
                    return Next::End;
                }
                self.deliver(sink.output(stream, bytes), stop).await
            }
            FromAgent::Artefact(path, bytes) if self.spec.artefacts.contains(&path) => {
                self.keep(path, &bytes)
            }
            FromAgent::Result(bytes) if self.spec.grader => self.keep_result(&bytes),
            FromAgent::Ended(ended) => {
                if let Some(stream) = ended.truncated {
                    self.budget.cut(stream);
                }
                self.facts.ended = Some(ended);
                Next::End
            }
            _ => {
                self.broke(&LinkError::OutOfTurn);
                Next::End
            }
        }
    }

    /// Gives something to the sink. The time that the sink takes is not the job's; but a stop ends the waiting.
    async fn deliver(&mut self, taken: impl Future<Output = ()>, stop: &CancellationToken) -> Next {
        let before = Deadline::now();
        tokio::select! {
            () = taken => {
                if !self.stopping {
                    self.deadline += before.elapsed();
                }
                Next::Listen
            }
            () = stop.cancelled(), if !self.facts.stopped => self.ask_to_stop().await,
            () = sleep_until(self.deadline), if self.stopping => Next::End,
        }
    }

    fn keep(&mut self, path: FilePath, bytes: &[u8]) -> Next {
        self.artefact_bytes += bytes.len();
        if self.artefact_bytes > ARTEFACTS_MAX_BYTES {
            self.broke(&LinkError::OutOfTurn);
            return Next::End;
        }
        self.artefacts.entry(path).or_default().extend_from_slice(bytes);
        Next::Listen
    }

    fn keep_result(&mut self, bytes: &[u8]) -> Next {
        let kept = self.result.get_or_insert_default();
        kept.extend_from_slice(bytes);
        if kept.len() <= RESULT_MAX_BYTES {
            return Next::Listen;
        }
        self.broke(&LinkError::OutOfTurn);
        Next::End
    }

    /// Everything that is known, once the sandbox is gone.
    pub fn report(self, ending: Ending, facts: &Facts, isolation: Isolation) -> Report {
        let ended = facts.ended.as_ref();
        let since_start = || u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let silent_ms = if facts.started { since_start().saturating_sub(self.start_ms) } else { 0 };
        let sampled_bytes = ended.map_or(0, |ended| ended.memory_peak_bytes);
        Report {
            limits_hit: facts.limits_hit(),
            used: Used {
                start_ms: self.start_ms,
                wall_ms: ended.map_or(silent_ms, |ended| ended.wall_ms),
                cpu_ms: self.processor_ms.or_else(|| ended.map(|ended| ended.cpu_ms)).unwrap_or(0),
                memory_peak_bytes: if sampled_bytes > 0 {
                    sampled_bytes
                } else {
                    facts.post_mortem.memory_peak_bytes
                },
            },
            written: self.budget.written(),
            artefacts: self
                .artefacts
                .into_iter()
                .map(|(path, content)| File { path, content: Bytes(content) })
                .collect(),
            result: self.result.map(Bytes),
            isolation: Some(isolation),
            ending,
        }
    }
}
