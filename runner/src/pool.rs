//! Sandboxes that are booted before they are needed; each serves one job and is never used again.
//!
//! Invariant: a sandbox is in one place at a time: on its way, waiting, or with its job; never more than
//! `sandboxes_max` are anywhere, and no more than `boots_max` on their way.

mod plan;
mod quiet;
mod ready;

pub use quiet::Start;
pub use ready::Ready;

use crate::sandbox::{BootError, Class, Engine};
use alphagate_contract::job::Language;
use plan::{Demand, Next};
use quiet::Quiet;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long to leave an engine alone that could not boot ahead.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// How much is booted ahead.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Sandboxes that wait, over all classes.
    pub idle_max: usize,
    /// Boots at once; about as many as the host has processors.
    pub boots_max: usize,
    /// Sandboxes at once, waiting ones and those at work; at least the runner's slots.
    pub sandboxes_max: usize,
}

/// What a sandbox waits for: jobs of a class, with an interpreter that has been started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The sandbox's class.
    pub class: Class,
    /// The interpreter.
    pub language: Language,
}

/// Sandboxes in waiting.
pub struct Pool {
    engine: Arc<dyn Engine>,
    shelf: Mutex<Shelf>,
    boots: Semaphore,
    sandboxes: Arc<Semaphore>,
    quiet: Quiet,
    changed: Notify,
    closed: CancellationToken,
    tasks: TaskTracker,
}

/// What waits, and what is on its way to waiting.
struct Shelf {
    idle: Vec<(Key, Ready)>,
    coming: HashMap<Key, usize>,
    demand: Demand<Key>,
}

impl Shelf {
    fn counts(&self) -> HashMap<Key, usize> {
        let mut counts = self.coming.clone();
        for (key, _) in &self.idle {
            *counts.entry(key.clone()).or_default() += 1;
        }
        counts
    }

    fn remove(&mut self, wanted: impl Fn(&Key) -> bool) -> Option<Ready> {
        let at = self.idle.iter().position(|(key, _)| wanted(key))?;
        Some(self.idle.remove(at).1)
    }

    fn arrived(&mut self, key: &Key) {
        if let Some(count) = self.coming.get_mut(key) {
            *count = count.saturating_sub(1);
        }
        self.coming.retain(|_, count| *count > 0);
    }
}

impl Pool {
    /// A pool over an engine; call it inside a tokio runtime.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, settings: PoolSettings) -> Arc<Self> {
        let shelf =
            Shelf { idle: Vec::new(), coming: HashMap::new(), demand: Demand::new(settings.idle_max) };
        let pool = Arc::new(Self {
            engine,
            shelf: Mutex::new(shelf),
            boots: Semaphore::new(settings.boots_max.max(1)),
            sandboxes: Arc::new(Semaphore::new(settings.sandboxes_max.max(1))),
            quiet: Quiet::default(),
            changed: Notify::new(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        pool.tasks.spawn(Arc::clone(&pool).refill());
        pool
    }

    /// The engine, for its probe.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Sandboxes that wait.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.shelf().idle.len()
    }

    /// Ends every waiting sandbox, and boots none any more. Sandboxes at work go on.
    pub async fn close(&self) {
        self.closed.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.engine.settle().await;
        let idle = std::mem::take(&mut self.shelf().idle);
        for (_, ready) in idle {
            ready.discard().await;
        }
    }

    /// A sandbox for a job: one that waits, or a new one as soon as there is room. What waits for it may be dropped.
    pub async fn take(&self, key: &Key) -> Result<Ready, BootError> {
        self.shelf().demand.record(key.clone());
        let found = self.take_idle(key).await;
        self.changed.notify_one();
        if let Some(ready) = found {
            return Ok(ready);
        }
        let room = self.room().await?;
        self.boot(key, room).await
    }

    async fn take_idle(&self, key: &Key) -> Option<Ready> {
        loop {
            let found = {
                let mut shelf = self.shelf();
                // The same interpreter, else any sandbox of the class: a boot saved.
                let exact = shelf.remove(|found| found == key);
                exact.or_else(|| shelf.remove(|found| found.class == key.class))
            };
            let mut ready = found?;
            if ready.is_alive() {
                ready.start = Some(self.quiet.start());
                return Some(ready);
            }
            ready.discard().await;
        }
    }

    /// Room for one more sandbox; those that only wait give way.
    async fn room(&self) -> Result<OwnedSemaphorePermit, BootError> {
        loop {
            if let Ok(room) = Arc::clone(&self.sandboxes).try_acquire_owned() {
                return Ok(room);
            }
            let spare = self.shelf().remove(|_| true);
            match spare {
                Some(ready) => ready.discard().await,
                None => break,
            }
        }
        let closed = |_| BootError::Engine("the pool is closed".to_owned());
        Arc::clone(&self.sandboxes).acquire_owned().await.map_err(closed)
    }

    async fn boot(&self, key: &Key, room: OwnedSemaphorePermit) -> Result<Ready, BootError> {
        let closed = |_| BootError::Engine("the pool is closed".to_owned());
        let _turn = self.boots.acquire().await.map_err(closed)?;
        Ready::boot(self.engine.as_ref(), &key.class, room).await
    }

    /// Keeps the shelf as the last demands want it.
    async fn refill(self: Arc<Self>) {
        loop {
            let next = {
                let mut shelf = self.shelf();
                let next = shelf.demand.next(&shelf.counts());
                if let Next::Boot(key) = &next {
                    *shelf.coming.entry(key.clone()).or_default() += 1;
                }
                next
            };
            match next {
                Next::Boot(key) => drop(self.tasks.spawn(Arc::clone(&self).boot_ahead(key))),
                Next::Evict(key) => {
                    let spare = self.shelf().remove(|found| *found == key);
                    match spare {
                        Some(ready) => ready.discard().await,
                        None => self.wait().await,
                    }
                }
                Next::Nothing => self.wait().await,
            }
            if self.closed.is_cancelled() {
                return;
            }
        }
    }

    async fn wait(&self) {
        tokio::select! {
            () = self.changed.notified() => {}
            () = self.closed.cancelled() => {}
        }
    }

    async fn boot_ahead(self: Arc<Self>, key: Key) {
        let booted = tokio::select! {
            booted = self.boot_waiting(&key) => booted,
            () = self.closed.cancelled() => None,
        };
        if booted.is_none() && !self.closed.is_cancelled() {
            sleep(PAUSE_AFTER_FAILURE).await;
        }
        let mut shelf = self.shelf();
        shelf.arrived(&key);
        shelf.idle.extend(booted.map(|ready| (key, ready)));
        drop(shelf);
        self.changed.notify_one();
    }

    /// A sandbox with its interpreter; none if there is no room now, or it did not come up.
    async fn boot_waiting(&self, key: &Key) -> Option<Ready> {
        self.quiet.reached().await;
        let room = Arc::clone(&self.sandboxes).try_acquire_owned().ok()?;
        let booted = self.boot(key, room).await;
        let log = |error: &BootError| tracing::warn!(%error, image = key.class.image, "no sandbox ahead");
        let mut ready = booted.inspect_err(log).ok()?;
        match ready.start_ahead(key).await {
            Ok(()) => Some(ready),
            Err(error) => {
                tracing::warn!(%error, "no interpreter ahead");
                ready.discard().await;
                None
            }
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
