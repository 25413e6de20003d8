//! Where those who wait in this process are woken.

use super::{Notice, SWEEP};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

/// How long one waits before looking for oneself while this process does not hear the others.
const DEAF_LOOK: Duration = Duration::from_secs(1);
/// The same while it does: notices are not lost then, but nothing should hang on that.
const HEARING_LOOK: Duration = Duration::from_secs(10);

/// Most clients that read events at once: each holds a connection and up to 2 MiB of messages.
const STREAMS_MAX: usize = 1_000;

/// Everyone who waits in this process.
#[derive(Debug, Clone)]
pub(crate) struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    things: Mutex<HashMap<Uuid, watch::Sender<()>>>,
    work: watch::Sender<()>,
    runs: watch::Sender<()>,
    hearing: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
    streams: Arc<Semaphore>,
}

/// One who waits for a thing. Whatever is said after it was made, wakes it.
pub(crate) struct Watch {
    said: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
    hub: Arc<Inner>,
    thing: Option<Uuid>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            things: Mutex::default(),
            work: watch::Sender::new(()),
            runs: watch::Sender::new(()),
            hearing: watch::Sender::new(false),
            stopping: watch::Sender::new(false),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        }))
    }

    /// Waits for notices of a job or a runner.
    pub(crate) fn watch(&self, thing: Uuid) -> Watch {
        let said = self.0.things().entry(thing).or_default().subscribe();
        Watch { said, stopping: self.0.stopping.subscribe(), hub: self.0.clone(), thing: Some(thing) }
    }

    /// The right to read events, if there is room for one more.
    pub(super) fn stream_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.0.streams.clone().try_acquire_owned().ok()
    }

    /// Waits for work.
    pub(crate) fn watch_work(&self) -> Watch {
        let (said, stopping) = (self.0.work.subscribe(), self.0.stopping.subscribe());
        Watch { said, stopping, hub: self.0.clone(), thing: None }
    }

    /// Waits for notices of any run of an eval.
    pub(crate) fn watch_runs(&self) -> Watch {
        let (said, stopping) = (self.0.runs.subscribe(), self.0.stopping.subscribe());
        Watch { said, stopping, hub: self.0.clone(), thing: None }
    }

    /// Wakes whom it concerns.
    pub(super) fn say(&self, notice: Notice) {
        let thing = match notice {
            Notice::Work => return self.0.work.send_replace(()),
            Notice::Job(job) => job.uuid(),
            Notice::Runner(runner) => runner.uuid(),
            Notice::Run(run) => {
                self.0.runs.send_replace(());
                run.uuid()
            }
            Notice::Publication(publication) => publication.uuid(),
            Notice::Sweep => SWEEP,
        };
        if let Some(sender) = self.0.things().get(&thing) {
            sender.send_replace(());
        }
    }

    /// Wakes everybody: something may have been missed.
    pub(super) fn say_all(&self) {
        self.0.work.send_replace(());
        self.0.runs.send_replace(());
        self.0.things().values().for_each(|sender| sender.send_replace(()));
    }

    /// Says whether this process hears the others.
    pub(super) fn set_hearing(&self, hearing: bool) {
        self.0.hearing.send_replace(hearing);
    }

    /// Ends all waiting: the program stops.
    pub(crate) fn stop(&self) {
        self.0.stopping.send_replace(true);
    }
}

impl Inner {
    fn things(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<()>>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Returns when it is time to look.
    pub(crate) async fn changed(&mut self) {
        let look = if *self.hub.hearing.borrow() { HEARING_LOOK } else { DEAF_LOOK };
        self.changed_within(look).await;
    }

    /// The same, at the latest after `longest`.
    pub(crate) async fn changed_capped(&mut self, longest: Duration) {
        let look = if *self.hub.hearing.borrow() { HEARING_LOOK } else { DEAF_LOOK };
        self.changed_within(look.min(longest)).await;
    }

    /// Returns at a notice, at the latest after `longest`.
    pub(crate) async fn changed_within(&mut self, longest: Duration) {
        if self.is_stopping() {
            // A waiter that does not ask must not spin.
            tokio::time::sleep(longest.min(DEAF_LOOK)).await;
            return;
        }
        tokio::select! {
            _ = self.said.changed() => {}
            _ = self.stopping.changed() => {}
            () = tokio::time::sleep(longest) => {}
        }
    }

    /// Whether the program stops, and waiting should end.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(thing) = self.thing else { return };
        let mut things = self.hub.things();
        // The one that is being dropped still counts.
        if things.get(&thing).is_some_and(|sender| sender.receiver_count() <= 1) {
            things.remove(&thing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::id::JobId;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn who_waits_is_woken_by_its_own_thing_and_forgotten_when_it_leaves() {
        let hub = Hub::new();
        let (one, other) = (JobId::new(1, [1; 10]), JobId::new(1, [2; 10]));
        let (mut first, mut second) = (hub.watch(one.uuid()), hub.watch(one.uuid()));
        hub.say(Notice::Job(one));
        first.changed_within(LONG).await;
        second.changed_within(LONG).await;
        hub.say(Notice::Job(other));
        hub.say(Notice::Work);
        let woken = tokio::time::timeout(Duration::from_millis(20), first.changed_within(LONG)).await;
        assert!(woken.is_err(), "by somebody else's notice");
        hub.say_all();
        first.changed_within(LONG).await;
        drop(first);
        assert_eq!(hub.0.things().len(), 1);
        drop(second);
        assert_eq!(hub.0.things().len(), 0);
    }

    #[tokio::test]
    async fn waiting_ends_when_the_program_stops() {
        let hub = Hub::new();
        let mut watch = hub.watch_work();
        hub.stop();
        watch.changed_within(LONG).await;
        assert!(watch.is_stopping());
    }
}
