//! Which orgs are pushed right now, and who waits to hear of it. A plain value: the courier is the glue around it.
//!
//! Invariants: an org is pushed at most once at a time, never more than `max` orgs at once, and who waits is told of a
//! pass that began after they asked.

use alphagate_contract::id::OrgId;
use std::{
    collections::{HashMap, VecDeque},
    mem,
};

/// The desk; `R` is how to tell someone who waits.
pub(super) struct Desk<R> {
    max: usize,
    running: usize,
    orgs: HashMap<OrgId, Slot<R>>,
    queue: VecDeque<OrgId>,
}

struct Slot<R> {
    running: bool,
    /// Who waits for the pass that is to begin.
    now: Vec<R>,
    /// Came while one was running: another pass is due, for these.
    next: Option<Vec<R>>,
}

impl<R> Desk<R> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, running: 0, orgs: HashMap::new(), queue: VecDeque::new() }
    }

    /// Someone wants `org` to be pushed, and perhaps to hear of it.
    pub(super) fn wake(&mut self, org: OrgId, reply: Option<R>) {
        let slot = self.orgs.entry(org).or_insert_with(|| {
            self.queue.push_back(org);
            Slot { running: false, now: Vec::new(), next: None }
        });
        let asked = if slot.running { slot.next.get_or_insert_default() } else { &mut slot.now };
        asked.extend(reply);
    }

    /// The next org to push, and who waits to hear of it, if there is room.
    pub(super) fn start(&mut self) -> Option<(OrgId, Vec<R>)> {
        if self.running >= self.max {
            return None;
        }
        let org = self.queue.pop_front()?;
        let slot = self.orgs.get_mut(&org)?;
        slot.running = true;
        self.running += 1;
        Some((org, mem::take(&mut slot.now)))
    }

    /// The pass of `org` ended.
    pub(super) fn finish(&mut self, org: OrgId) {
        let Some(slot) = self.orgs.remove(&org) else { return };
        self.running -= 1;
        if let Some(now) = slot.next {
            self.orgs.insert(org, Slot { running: false, now, next: None });
            self.queue.push_back(org);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn org(number: u8) -> OrgId {
        OrgId::from_uuid(uuid::Uuid::from_bytes([number; 16]))
    }

    #[test]
    fn an_org_is_pushed_once_at_a_time_and_again_if_asked_meanwhile() {
        let mut desk = Desk::new(8);
        desk.wake(org(1), Some("a"));
        desk.wake(org(1), None);
        assert_eq!(desk.start(), Some((org(1), vec!["a"])));
        desk.wake(org(1), Some("b"));
        desk.wake(org(1), Some("c"));
        assert_eq!(desk.start(), None);
        desk.finish(org(1));
        assert_eq!(desk.start(), Some((org(1), vec!["b", "c"])));
        desk.finish(org(1));
        assert_eq!(desk.start(), None);
    }

    #[test]
    fn no_more_than_max_run_and_none_is_forgotten() {
        let mut desk: Desk<()> = Desk::new(2);
        (1..=4).for_each(|number| desk.wake(org(number), None));
        assert_eq!(
            (desk.start(), desk.start(), desk.start()),
            (Some((org(1), vec![])), Some((org(2), vec![])), None)
        );
        desk.finish(org(2));
        desk.wake(org(1), None);
        assert_eq!(desk.start(), Some((org(3), vec![])));
        desk.finish(org(1));
        desk.finish(org(3));
        assert_eq!(
            (desk.start(), desk.start(), desk.start()),
            (Some((org(4), vec![])), Some((org(1), vec![])), None)
        );
    }
}
