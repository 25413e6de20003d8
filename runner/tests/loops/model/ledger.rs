//! What happened, in order, kept apart from the model's own decisions, so that it can be judged afterwards.

use alphagate_contract::{
    id::{AttemptId, JobId, RunnerId},
    job::{
        Report,
        dispatch::{Chunk, Held, Output, Stream},
    },
};
use std::collections::BTreeMap;

/// Something that happened at control.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Claimed {
        job: JobId,
        attempt: AttemptId,
        runner: RunnerId,
    },
    /// A runner named the attempt: it knows of it.
    Heard {
        attempt: AttemptId,
    },
    /// A report was taken.
    Accepted {
        job: JobId,
        attempt: AttemptId,
    },
    /// The job is over; by which attempt, if by one.
    Ended {
        job: JobId,
        by: Option<AttemptId>,
    },
    Left {
        runner: RunnerId,
    },
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct Ledger {
    pub events: Vec<Event>,
    output: BTreeMap<AttemptId, Vec<Chunk>>,
    pub reports: BTreeMap<AttemptId, Report>,
    /// Breaches of the protocol that were seen as they happened.
    pub breaches: Vec<String>,
}

impl Ledger {
    pub fn note(&mut self, event: Event) {
        self.events.push(event);
    }

    pub fn append(&mut self, output: Output) {
        let Output { held, first, chunks } = output;
        let kept = self.output.entry(held.attempt).or_default();
        if first > kept.len() as u64 {
            self.breaches.push(format!(
                "{}: a gap before chunk {first}, {} are here",
                held.attempt,
                kept.len()
            ));
            return;
        }
        for (number, chunk) in (first..).zip(chunks) {
            match kept.get(usize::try_from(number).expect("small")) {
                Some(old) if *old != chunk => {
                    self.breaches
                        .push(format!("{}: chunk {number} came twice with other bytes", held.attempt));
                }
                Some(_) => {}
                None => kept.push(chunk),
            }
        }
    }

    pub fn accept(&mut self, held: Held, report: Report) {
        self.reports.insert(held.attempt, report);
        self.note(Event::Accepted { job: held.job, attempt: held.attempt });
    }

    pub fn was_accepted(&self, attempt: AttemptId) -> bool {
        self.reports.contains_key(&attempt)
    }

    /// The bytes of an attempt's stream, as far as they arrived.
    pub fn bytes(&self, attempt: AttemptId, stream: Stream) -> Vec<u8> {
        let chunks = self.output.get(&attempt).into_iter().flatten();
        chunks.filter(|chunk| chunk.stream == stream).flat_map(|chunk| chunk.data.0.iter().copied()).collect()
    }

    /// Whether user code of this attempt was said to have started.
    pub fn has_started(&self, attempt: AttemptId) -> bool {
        self.output.contains_key(&attempt)
    }
}
