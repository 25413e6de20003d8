//! What an attempt was, from what is known of it. Pure.
//!
//! Invariant: the agent says how user code ended; where it is silent, only what this host itself did or saw counts (a stop,
//! a deadline, the kernel's own count of killings), and never the exit code of the sandbox.

use crate::sandbox::PostMortem;
use alphagate_agent::message::{Ended, How};
use alphagate_contract::job::{Ending, LimitKind};

/// `SIGKILL`.
const KILLED: i32 = 9;

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Whether the agent said that user code had started.
    pub started: bool,
    /// Whether it said that it had started in an interpreter that had waited.
    pub prestarted: bool,
    /// The agent's last frame.
    pub ended: Option<Ended>,
    /// What the host saw of the sandbox's end.
    pub post_mortem: PostMortem,
    /// Whether we ended it because we were asked to.
    pub stopped: bool,
    /// Whether we ended it because its time, and the agent's time to end it, had run out.
    pub overdue: bool,
    /// Whether we told the agent to end it because its processor time had run out.
    pub overspent: bool,
    /// Whether more output came than the agent lets through.
    pub overflowed: bool,
    /// What went wrong with the agent's frames.
    pub broken: Option<String>,
}

impl Facts {
    /// How it ended. [`Ending::Died`] says that the host is healthy; whoever can find out corrects it.
    #[must_use]
    pub fn ending(&self) -> Ending {
        match &self.ended {
            Some(ended) => self.of_agent(&ended.how),
            None if self.stopped => Ending::Stopped,
            None if self.overflowed => Ending::Limited { limit: LimitKind::Output },
            None if self.post_mortem.oom_killed => Ending::Limited { limit: LimitKind::Memory },
            None if self.overspent => Ending::Limited { limit: LimitKind::Cpu },
            None if self.overdue && self.started => Ending::Limited { limit: LimitKind::Wall },
            None => Ending::Died { started: self.started, host_healthy: true, message: self.message() },
        }
    }

    fn of_agent(&self, how: &How) -> Ending {
        match how {
            How::Exited { code } => Ending::Exited { code: *code },
            How::Signaled { signal: KILLED } if self.post_mortem.oom_killed => {
                Ending::Limited { limit: LimitKind::Memory }
            }
            How::Signaled { signal } => Ending::Signaled { signal: *signal },
            How::Limited { limit } => Ending::Limited { limit: *limit },
            How::Stopped => Ending::Stopped,
            How::NotStarted { code, message } => {
                Ending::NotRun { code: code.clone(), message: message.clone() }
            }
        }
    }

    /// Every limit that was touched, each once, in the order of the contract.
    #[must_use]
    pub fn limits_hit(&self) -> Vec<LimitKind> {
        let mut hit = self.ended.as_ref().map(|ended| ended.limits_hit.clone()).unwrap_or_default();
        if let Ending::Limited { limit } = self.ending() {
            hit.push(limit);
        }
        if self.post_mortem.oom_killed {
            hit.push(LimitKind::Memory);
        }
        hit.sort_unstable();
        hit.dedup();
        hit
    }

    fn message(&self) -> String {
        let exit = self.post_mortem.exit.map(|code| format!("the sandbox exited with {code}"));
        let late = self.overdue.then(|| "it did not come up in time".to_owned());
        let log = Some(self.post_mortem.panic_log.trim().to_owned()).filter(|log| !log.is_empty());
        let parts: Vec<String> = [late, self.broken.clone(), exit, log].into_iter().flatten().collect();
        if parts.is_empty() {
            "the sandbox is gone, and nobody knows why".to_owned()
        } else {
            parts.join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LimitKind::{Cpu, Disk, Memory, Output, Pids, Wall};

    fn ended(how: How, limits_hit: &[LimitKind]) -> Option<Ended> {
        let limits_hit = limits_hit.to_vec();
        Some(Ended { how, limits_hit, wall_ms: 1, cpu_ms: 1, memory_peak_bytes: 1, truncated: None })
    }

    fn oom() -> PostMortem {
        PostMortem { oom_killed: true, exit: Some(137), ..PostMortem::default() }
    }

    fn died(started: bool, message: &str) -> Ending {
        Ending::Died { started, host_healthy: true, message: message.to_owned() }
    }

    type Row = (&'static str, Facts, Ending, &'static [LimitKind]);

    fn hold(rows: Vec<Row>) {
        for (name, facts, ending, hit) in rows {
            assert_eq!(facts.ending(), ending, "{name}");
            assert_eq!(facts.limits_hit(), hit, "{name}");
        }
    }

    const fn limited(limit: LimitKind) -> Ending {
        Ending::Limited { limit }
    }

    fn started() -> Facts {
        Facts { started: true, ..Facts::default() }
    }

    #[test]
    fn what_the_agent_says_counts_unless_the_host_knows_better() {
        let base = started();
        hold(vec![
            (
                "user code exits with what looks like a panic of the sandbox",
                Facts { ended: ended(How::Exited { code: 2 }, &[Pids]), ..base.clone() },
                Ending::Exited { code: 2 },
                &[Pids],
            ),
            (
                "user code exits with what looks like a kill",
                Facts { ended: ended(How::Exited { code: 137 }, &[]), ..base.clone() },
                Ending::Exited { code: 137 },
                &[],
            ),
            (
                "a signal of its own",
                Facts { ended: ended(How::Signaled { signal: 11 }, &[]), ..base.clone() },
                Ending::Signaled { signal: 11 },
                &[],
            ),
            (
                "a signal of its own that is SIGKILL",
                Facts { ended: ended(How::Signaled { signal: 9 }, &[]), ..base.clone() },
                Ending::Signaled { signal: 9 },
                &[],
            ),
            (
                "the host's kernel killed the process, and the agent lived",
                Facts { ended: ended(How::Signaled { signal: 9 }, &[]), post_mortem: oom(), ..base.clone() },
                limited(Memory),
                &[Memory],
            ),
            (
                "the agent ended it, and it touched another limit before",
                Facts { ended: ended(How::Limited { limit: Wall }, &[Wall, Disk]), ..base.clone() },
                limited(Wall),
                &[Wall, Disk],
            ),
            (
                "the agent stopped it",
                Facts { stopped: true, ended: ended(How::Stopped, &[]), ..base.clone() },
                Ending::Stopped,
                &[],
            ),
            (
                "it ended by itself just before the stop",
                Facts { stopped: true, ended: ended(How::Exited { code: 0 }, &[]), ..base.clone() },
                Ending::Exited { code: 0 },
                &[],
            ),
        ]);
    }

    #[test]
    fn of_a_silent_agent_only_what_the_host_did_or_saw_counts() {
        let base = started();
        let exit = PostMortem { exit: Some(2), panic_log: "panic: x\n".to_owned(), ..PostMortem::default() };
        hold(vec![
            (
                "the host's kernel killed the whole sandbox",
                Facts { post_mortem: oom(), ..base.clone() },
                limited(Memory),
                &[Memory],
            ),
            (
                "it was stopped and then died of memory",
                Facts { stopped: true, post_mortem: oom(), ..base.clone() },
                Ending::Stopped,
                &[Memory],
            ),
            ("the agent could not end it", Facts { overdue: true, ..base.clone() }, limited(Wall), &[Wall]),
            (
                "the agent could not end it when its processor time had run out",
                Facts { overspent: true, overdue: true, ..base.clone() },
                limited(Cpu),
                &[Cpu],
            ),
            (
                "more output than the agent may let through",
                Facts { overflowed: true, ..base.clone() },
                limited(Output),
                &[Output],
            ),
            (
                "the sentry panicked",
                Facts { post_mortem: exit.clone(), ..base.clone() },
                died(true, "the sandbox exited with 2; panic: x"),
                &[],
            ),
            (
                "the agent's frames are broken",
                Facts { broken: Some("frame of unknown kind 7".to_owned()), ..base },
                died(true, "frame of unknown kind 7"),
                &[],
            ),
            (
                "it never came up",
                Facts { overdue: true, ..Facts::default() },
                died(false, "it did not come up in time"),
                &[],
            ),
            (
                "nothing is known",
                Facts::default(),
                died(false, "the sandbox is gone, and nobody knows why"),
                &[],
            ),
        ]);
    }
}
