//! Which orgs are pushed right now, and who waits to hear of it. A plain value: the courier is the glue around it.
//!
//! Invariants: an org is pushed at most once at a time, never more than `max` orgs at once, and who waits is told of a
//! pass that began after they asked.

use alphagate_contract::id::OrgId;
use std::collections::{HashMap, VecDeque};

/// The desk; `R` is how to tell someone who waits.
pub(super) struct Desk<R> {
    max: usize,
    running: usize,
    orgs: HashMap<OrgId, Slot<R>>,
    queue: VecDeque<OrgId>,
}

struct Slot<R> {
    running: bool,
    /// Told when the pass that is running ends.
    now: Asked<R>,
    /// Came while it was running: another pass is due.
    next: Option<Asked<R>>,
}

struct Asked<R> {
    eager: bool,
    replies: Vec<R>,
}

impl<R> Asked<R> {
    fn add(&mut self, reply: Option<R>) {
        self.eager |= reply.is_some();
        self.replies.extend(reply);
    }

    const fn nobody() -> Self {
        Self { eager: false, replies: Vec::new() }
    }
}

impl<R> Desk<R> {
    pub(super) fn new(max: usize) -> Self {
        Self { max, running: 0, orgs: HashMap::new(), queue: VecDeque::new() }
    }

    /// Someone wants `org` to be pushed, and perhaps to hear of it.
    pub(super) fn wake(&mut self, org: OrgId, reply: Option<R>) {
        let slot = self.orgs.entry(org).or_insert_with(|| {
            self.queue.push_back(org);
            Slot { running: false, now: Asked::nobody(), next: None }
        });
        let asked = if slot.running { slot.next.get_or_insert_with(Asked::nobody) } else { &mut slot.now };
        asked.add(reply);
    }

    /// The next org to push, and whether someone waits for it, if there is room.
    pub(super) fn start(&mut self) -> Option<(OrgId, bool)> {
        if self.running >= self.max {
            return None;
        }
        let org = self.queue.pop_front()?;
        let slot = self.orgs.get_mut(&org)?;
        slot.running = true;
        self.running += 1;
        Some((org, slot.now.eager))
    }

    /// The pass of `org` ended; gives whom to tell.
    pub(super) fn finish(&mut self, org: OrgId) -> Vec<R> {
        let Some(slot) = self.orgs.remove(&org) else { return Vec::new() };
        self.running -= 1;
        if let Some(now) = slot.next {
            self.orgs.insert(org, Slot { running: false, now, next: None });
            self.queue.push_back(org);
        }
        slot.now.replies
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
        assert_eq!(desk.start(), Some((org(1), true)));
        desk.wake(org(1), Some("b"));
        desk.wake(org(1), Some("c"));
        assert_eq!(desk.start(), None);
        assert_eq!(desk.finish(org(1)), ["a"]);
        assert_eq!(desk.start(), Some((org(1), true)));
        assert_eq!(desk.finish(org(1)), ["b", "c"]);
        assert_eq!(desk.start(), None);
    }

    #[test]
    fn no_more_than_max_run_and_none_is_forgotten() {
        let mut desk: Desk<()> = Desk::new(2);
        (1..=4).for_each(|number| desk.wake(org(number), None));
        assert_eq!(
            (desk.start(), desk.start(), desk.start()),
            (Some((org(1), false)), Some((org(2), false)), None)
        );
        desk.finish(org(2));
        desk.wake(org(1), None);
        assert_eq!(desk.start(), Some((org(3), false)));
        desk.finish(org(1));
        desk.finish(org(3));
        assert_eq!(
            (desk.start(), desk.start(), desk.start()),
            (Some((org(4), false)), Some((org(1), false)), None)
        );
    }
}
