//! What the runner holds: a pure table of attempts, and what follows for claims, renewals and stops.
//!
//! Invariants: never more attempts than slots; a lost attempt keeps its slot until its sandbox is gone, but is never
//! renewed again; a stop is acted on once; nothing is asked for while the runner drains.

use alphagate_contract::{
    id::{AttemptId, JobId},
    job::{
        Kind,
        dispatch::{Claimed, Commands, Held, Slots},
    },
};
use std::collections::BTreeMap;

/// The table.
#[derive(Debug, Clone)]
pub struct Desk {
    slots: Slots,
    draining: bool,
    held: BTreeMap<AttemptId, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    job: JobId,
    kind: Kind,
    stopped: bool,
    lost: bool,
}

/// What became of an answer to a claim.
#[derive(Debug, Default, PartialEq)]
pub struct Taken {
    /// To be started.
    pub start: Vec<Claimed>,
    /// Given although no slot was free: left to their leases.
    pub surplus: Vec<Held>,
}

impl Desk {
    /// An empty table.
    #[must_use]
    pub const fn new(slots: Slots) -> Self {
        Self { slots, draining: false, held: BTreeMap::new() }
    }

    /// How many jobs of a kind may be asked for.
    #[must_use]
    pub fn wanted(&self, kind: Kind) -> u32 {
        if self.draining { 0 } else { self.room(kind) }
    }

    fn room(&self, kind: Kind) -> u32 {
        let taken = self.held.values().filter(|entry| entry.kind == kind).count();
        self.slots.of(kind).saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
    }

    /// Takes the answer to a claim. What is held already is passed over: control may give it again.
    pub fn take(&mut self, claims: Vec<Claimed>) -> Taken {
        let mut taken = Taken::default();
        for claimed in claims {
            let kind = claimed.work.kind();
            if self.held.contains_key(&claimed.attempt) {
                continue;
            }
            if self.room(kind) == 0 {
                taken.surplus.push(Held { job: claimed.job, attempt: claimed.attempt });
                continue;
            }
            let entry = Entry { job: claimed.job, kind, stopped: false, lost: false };
            self.held.insert(claimed.attempt, entry);
            taken.start.push(claimed);
        }
        taken
    }

    /// What is to be renewed.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let kept = self.held.iter().filter(|(_, entry)| !entry.lost);
        kept.map(|(attempt, entry)| Held { job: entry.job, attempt: *attempt }).collect()
    }

    /// Control says that these are over for this runner; the ones whose work is to be thrown away now.
    pub fn lose(&mut self, lost: &[Held]) -> Vec<AttemptId> {
        self.mark(lost, |entry| &mut entry.lost)
    }

    /// Control's commands; the attempts that are to be stopped now.
    pub fn heed(&mut self, commands: &Commands) -> Vec<AttemptId> {
        self.draining |= commands.drain;
        self.mark(&commands.stop, |entry| &mut entry.stopped)
    }

    /// Marks those that are held and not marked yet.
    fn mark(&mut self, which: &[Held], flag: impl Fn(&mut Entry) -> &mut bool) -> Vec<AttemptId> {
        let mut marked = Vec::new();
        for held in which {
            let entry = self.held.get_mut(&held.attempt).filter(|entry| entry.job == held.job);
            if entry.is_some_and(|entry| !std::mem::replace(flag(entry), true)) {
                marked.push(held.attempt);
            }
        }
        marked
    }

    /// Stops that are known, for control to leave out.
    #[must_use]
    pub fn known_stops(&self) -> Vec<AttemptId> {
        self.held.iter().filter(|(_, entry)| entry.stopped).map(|(attempt, _)| *attempt).collect()
    }

    /// The attempt is finished or thrown away, and nothing of it is left: its slot is free.
    pub fn leave(&mut self, attempt: AttemptId) {
        self.held.remove(&attempt);
    }

    /// From now on nothing more is asked for.
    pub const fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether nothing more is asked for.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Number of attempts that are held, lost ones whose sandbox still ends included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::{job::SampleSpec, job::dispatch::Work, secret::Secret};
    use proptest::prelude::*;
    use serde_json::Value;

    fn held(n: u8) -> Held {
        Held { job: JobId::new(0, [n; 10]), attempt: AttemptId::new(0, [n; 10]) }
    }

    fn sample(n: u8) -> Claimed {
        let spec = SampleSpec { path: "/v1/responses".to_owned(), body: Value::Null, wall_ms: 1 };
        let work = Work::Sample { spec, key: Secret::new(String::new()) };
        Claimed { job: held(n).job, attempt: held(n).attempt, number: 1, work }
    }

    fn desk(sample: u32) -> Desk {
        Desk::new(Slots { sandbox: 0, sample })
    }

    #[test]
    fn what_is_given_again_is_started_once() {
        let mut desk = desk(2);
        assert_eq!(desk.take(vec![sample(1)]).start.len(), 1);
        assert_eq!(desk.take(vec![sample(1)]), Taken::default());
        assert_eq!(desk.wanted(Kind::Sample), 1);
    }

    #[test]
    fn a_lost_attempt_keeps_its_slot_until_it_leaves() {
        let mut desk = desk(1);
        desk.take(vec![sample(1)]);
        assert_eq!(desk.lose(&[held(1)]), [held(1).attempt]);
        assert_eq!(desk.lose(&[held(1)]), []);
        assert_eq!((desk.held(), desk.wanted(Kind::Sample)), (vec![], 0));
        desk.leave(held(1).attempt);
        assert_eq!(desk.wanted(Kind::Sample), 1);
    }

    #[test]
    fn a_stop_for_something_unknown_is_not_taken_as_known() {
        let mut desk = desk(1);
        let stop = Commands { stop: vec![held(1)], drain: false };
        assert_eq!(desk.heed(&stop), []);
        assert_eq!(desk.known_stops(), []);
        desk.take(vec![sample(1)]);
        assert_eq!(desk.heed(&stop), [held(1).attempt]);
        assert_eq!(desk.known_stops(), [held(1).attempt]);
    }

    #[test]
    fn the_attempt_of_another_job_is_not_touched() {
        let mut desk = desk(1);
        desk.take(vec![sample(1)]);
        assert_eq!(desk.lose(&[Held { job: held(2).job, attempt: held(1).attempt }]), []);
        assert_eq!(desk.held(), [held(1)]);
    }

    #[derive(Debug, Clone)]
    enum Event {
        Take(Vec<u8>),
        Lose(u8),
        Stop(u8),
        Leave(u8),
        Drain,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            8 => prop::collection::vec(0..12_u8, 0..6).prop_map(Event::Take),
            4 => (0..12_u8).prop_map(Event::Lose),
            4 => (0..12_u8).prop_map(Event::Stop),
            8 => (0..12_u8).prop_map(Event::Leave),
            1 => Just(Event::Drain),
        ]
    }

    proptest! {
        #[test]
        fn slots_losses_and_stops_hold_whatever_comes(slots in 0..5_u32,
                                                      script in prop::collection::vec(event(), 0..60)) {
            let mut desk = desk(slots);
            let mut running: Vec<u8> = Vec::new();
            let mut lost: Vec<u8> = Vec::new();
            for event in script {
                match event {
                    Event::Take(given) => {
                        let started = desk.take(given.iter().map(|n| sample(*n)).collect()).start;
                        for claimed in started {
                            let n = claimed.attempt.uuid().as_bytes()[15];
                            prop_assert!(!running.contains(&n), "{n} was started twice");
                            running.push(n);
                        }
                    }
                    Event::Lose(n) => {
                        let told = desk.lose(&[held(n)]);
                        prop_assert_eq!(told.len() == 1, running.contains(&n) && !lost.contains(&n));
                        if !told.is_empty() { lost.push(n); }
                    }
                    Event::Stop(n) => { desk.heed(&Commands { stop: vec![held(n)], drain: false }); }
                    Event::Leave(n) => {
                        desk.leave(held(n).attempt);
                        running.retain(|other| *other != n);
                        lost.retain(|other| *other != n);
                    }
                    Event::Drain => desk.drain(),
                }
                prop_assert_eq!(desk.len(), running.len());
                prop_assert!(running.len() <= slots as usize);
                prop_assert!(desk.held().iter().all(|one| lost.iter().all(|n| held(*n) != *one)));
                prop_assert!(desk.known_stops().iter().all(|stop| running.iter().any(|n| held(*n).attempt == *stop)));
                let free = slots - u32::try_from(running.len()).unwrap();
                prop_assert_eq!(desk.wanted(Kind::Sample), if desk.is_draining() { 0 } else { free });
            }
        }
    }
}
