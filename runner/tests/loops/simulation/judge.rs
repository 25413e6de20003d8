//! What must be true after a seed, whatever went wrong: read off the ledger, not off the model's decisions.

use super::{
    fake::Tally,
    fleet::SLOTS,
    plan::{Plan, PlannedJob},
};
use crate::model::{
    Model, State,
    ledger::{Event, Ledger},
};
use alphagate_contract::{
    id::{AttemptId, JobId},
    job::{Ending, Outcome, dispatch::Stream},
};
use alphagate_runner::scenario::Fate;
use std::collections::{BTreeMap, BTreeSet};

/// Every breach, in words.
pub fn judge(plan: &Plan, jobs: &[JobId], model: &Model, tally: &Tally) -> Vec<String> {
    let mut breaches = model.ledger.breaches.clone();
    breaches.extend(fencing(&model.ledger));
    for (number, (id, planned)) in jobs.iter().zip(&plan.jobs).enumerate() {
        let job = |breach: String| format!("job {number} ({id}): {breach}");
        breaches.extend(ended_once(*id, &model.ledger).into_iter().map(job));
        breaches.extend(fate(plan, number, planned, *id, model).into_iter().map(job));
        breaches.extend(output(planned, *id, &model.ledger).into_iter().map(job));
    }
    if plan.is_gentle {
        breaches.extend(nothing_lost(&model.ledger));
    }
    if tally.live() > 0 {
        breaches.push(format!("{} sandboxes live on although every job has ended", tally.live()));
    }
    for (runner, most) in &tally.most {
        if *most > SLOTS.sandbox {
            breaches.push(format!("runner {runner} had {most} sandboxes at once"));
        }
    }
    breaches
}

/// A report counts only while no newer attempt of its job was given out, and before the job's end.
fn fencing(ledger: &Ledger) -> Vec<String> {
    let (mut current, mut over) = (BTreeMap::new(), BTreeSet::new());
    let mut breaches = Vec::new();
    for event in &ledger.events {
        match event {
            Event::Claimed { job, attempt, .. } => {
                current.insert(*job, *attempt);
                if over.contains(job) {
                    breaches.push(format!("{job} was given out after its end"));
                }
            }
            Event::Accepted { job, attempt } if current.get(job) != Some(attempt) => {
                breaches.push(format!("{job}: a report of the superseded {attempt} counted"));
            }
            Event::Accepted { job, .. } if over.contains(job) => {
                breaches.push(format!("{job} ended and ended again"))
            }
            Event::Ended { job, .. } => {
                over.insert(*job);
            }
            _ => {}
        }
    }
    breaches
}

fn ended_once(id: JobId, ledger: &Ledger) -> Option<String> {
    let ends =
        ledger.events.iter().filter(|event| matches!(event, Event::Ended { job, .. } if *job == id)).count();
    (ends != 1).then(|| format!("it ended {ends} times"))
}

fn fate(plan: &Plan, number: usize, planned: &PlannedJob, id: JobId, model: &Model) -> Option<String> {
    let State::Ended(fate) = model.jobs[&id].state else { return Some("it has not ended".to_owned()) };
    let attempts = model.jobs[&id].attempts;
    let is_right = match fate {
        Fate::Canceled => plan.is_cancelled(number),
        Fate::Ended(Outcome::Infrastructure) => !plan.is_gentle && attempts >= 3,
        fate => fate == planned.fate,
    };
    (!is_right).then(|| format!("{fate:?} after {attempts} attempts, planned was {:?}", planned.fate))
}

/// What a report says was written is here, every byte in order; a sample's answer is its question's.
fn output(planned: &PlannedJob, id: JobId, ledger: &Ledger) -> Vec<String> {
    let accepted = ledger.events.iter().filter_map(|event| match event {
        Event::Accepted { job, attempt } if *job == id => Some(*attempt),
        _ => None,
    });
    accepted.filter_map(|attempt| one_output(planned, attempt, ledger)).collect()
}

fn one_output(planned: &PlannedJob, attempt: AttemptId, ledger: &Ledger) -> Option<String> {
    let report = &ledger.reports[&attempt];
    let full = planned.script.stdout();
    if planned.is_sample {
        let expected = format!("{{\"said\":{}}}", planned.script.name);
        let is_answered = matches!(report.ending, Ending::Answered { .. });
        let is_wrong =
            is_answered && report.result.as_ref().map(|result| &result.0[..]) != Some(expected.as_bytes());
        return is_wrong.then(|| format!("{attempt}: the answer is to another question"));
    }
    let bytes = ledger.bytes(attempt, Stream::Stdout);
    let is_whole = matches!(report.ending, Ending::Stopped) || bytes == full;
    let is_right = is_whole && full.starts_with(&bytes) && bytes.len() as u64 == report.written.stdout_bytes;
    let has_started = ledger.has_started(attempt) || matches!(report.ending, Ending::Stopped);
    (!is_right || !has_started).then(|| {
        format!("{attempt}: {} bytes are here, {} were written", bytes.len(), report.written.stdout_bytes)
    })
}

/// Every attempt that a runner knew of was reported by it, and the report counted.
fn nothing_lost(ledger: &Ledger) -> Vec<String> {
    let heard = ledger.events.iter().filter_map(|event| match event {
        Event::Heard { attempt } => Some(*attempt),
        _ => None,
    });
    let heard: BTreeSet<AttemptId> = heard.collect();
    let lost = heard.into_iter().filter(|attempt| !ledger.was_accepted(*attempt));
    lost.map(|attempt| format!("{attempt} was lost although nothing outlasted its lease")).collect()
}
