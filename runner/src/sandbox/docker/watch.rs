//! Whether the daemon has been there all the time: a container that died with it says nothing about its job (R11).
//!
//! Invariant: the count goes up at the latest when the daemon can be spoken to again after it was away.

use bollard::{Docker, query_parameters as query};
use futures_util::StreamExt as _;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

/// A daemon that restarts is away for a second or more.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Listens to the daemon for as long as it lives.
pub struct Watch {
    absences: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins to listen.
    pub fn new(client: Docker) -> Self {
        let absences = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(listen(client, Arc::clone(&absences)));
        Self { absences, task }
    }

    /// Remembers how often it has been away until now.
    pub fn since_now(&self) -> Since {
        Since { absences: Arc::clone(&self.absences), before: self.absences.load(Ordering::SeqCst) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A moment from which on absences count.
pub struct Since {
    absences: Arc<AtomicU64>,
    before: u64,
}

impl Since {
    /// Whether the daemon has been away since.
    pub fn was_away(&self) -> bool {
        self.absences.load(Ordering::SeqCst) != self.before
    }
}

async fn listen(client: Docker, absences: Arc<AtomicU64>) {
    loop {
        // Events of the daemon itself: there are hardly any, and the stream ends with it.
        let filters = HashMap::from([("type", vec!["daemon"])]);
        let mut events =
            Box::pin(client.events(Some(query::EventsOptionsBuilder::new().filters(&filters).build())));
        while let Some(Ok(_)) = events.next().await {}
        absences.fetch_add(1, Ordering::SeqCst);
        sleep(AGAIN_AFTER).await;
    }
}
