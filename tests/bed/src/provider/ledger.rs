//! What the provider saw: every request with its bytes and its end, and counts of them.
//!
//! Invariant: `started = in_flight + completed + aborted + broken`, in total and for each model.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::timeout;

/// How many requests are remembered: more than any test sends before it looks.
const REQUESTS_MAX: usize = 8_192;
/// How much of a body is kept: whole prompts, but of an image only the start. With the ring full: 512 MB at worst.
const BODY_KEPT_BYTES: usize = 64 * 1024;

/// How many calls are, or were, in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls whose request was complete.
    pub started: u64,
    /// Calls that are being answered.
    pub in_flight: u64,
    /// Calls in flight that wait for [`super::Provider::release`].
    pub held: u64,
    /// Answers written to their end.
    pub completed: u64,
    /// Calls whose client hung up before the end of the answer.
    pub aborted: u64,
    /// Calls that a knob ended: refused, reset, truncated.
    pub broken: u64,
    /// Requests whose client hung up before the end of the request. Not started.
    pub incomplete: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not yet.
    InFlight,
    /// Answered to the end.
    Completed,
    /// The client hung up; this is when we noticed.
    Aborted(Instant),
    /// A knob ended it.
    Broken,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Counts up from 1 in order of arrival.
    pub id: u64,
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Headers in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body's first bytes.
    pub body: Vec<u8>,
    /// The length of the whole body.
    pub body_bytes: usize,
    /// SHA-256 of the whole body, in hex.
    pub body_sha256: String,
    /// The body's `model`; empty when there is none.
    pub model: String,
    /// When the request was complete.
    pub at: Instant,
    /// How it ended.
    pub outcome: Outcome,
}

impl Seen {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body, if it was kept whole and is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// A request that is about to be entered.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a [u8],
    pub(super) model: &'a str,
}

#[derive(Debug, Default)]
struct Books {
    last_id: u64,
    requests: VecDeque<Seen>,
    total: Counts,
    by_model: HashMap<String, Counts>,
}

impl Books {
    fn change(&mut self, model: &str, change: impl Fn(&mut Counts)) {
        change(&mut self.total);
        change(self.by_model.entry(model.to_owned()).or_default());
    }
}

/// The provider's memory, shared by all its connections.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    books: Arc<Mutex<Books>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let (changed, _) = watch::channel(0);
        Self { books: Arc::default(), changed: Arc::new(changed) }
    }

    /// Enters a call; its end is entered when the entry is dropped.
    pub(super) fn enter(&self, arrival: &Arrival<'_>) -> Entry {
        let mut books = self.lock();
        books.last_id += 1;
        let id = books.last_id;
        let kept = arrival.body.get(..BODY_KEPT_BYTES).unwrap_or(arrival.body);
        books.requests.push_back(Seen {
            id,
            method: arrival.method.to_owned(),
            path: arrival.path.to_owned(),
            headers: arrival.headers.to_vec(),
            body: kept.to_vec(),
            body_bytes: arrival.body.len(),
            body_sha256: hex::encode(Sha256::digest(arrival.body)),
            model: arrival.model.to_owned(),
            at: Instant::now(),
            outcome: Outcome::InFlight,
        });
        if books.requests.len() > REQUESTS_MAX {
            books.requests.pop_front();
        }
        books.change(arrival.model, |counts| {
            counts.started += 1;
            counts.in_flight += 1;
        });
        drop(books);
        self.tell();
        Entry { ledger: self.clone(), id, model: arrival.model.to_owned(), outcome: None, held: false }
    }

    pub(super) fn incomplete(&self) {
        self.lock().total.incomplete += 1;
        self.tell();
    }

    pub(super) fn requests(&self) -> Vec<Seen> {
        self.lock().requests.iter().cloned().collect()
    }

    fn counts(&self, model: Option<&str>) -> Counts {
        let books = self.lock();
        match model {
            None => books.total,
            Some(model) => books.by_model.get(model).copied().unwrap_or_default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

/// A call in flight. Dropped without a verdict, its client has hung up.
#[derive(Debug)]
pub(super) struct Entry {
    ledger: Ledger,
    id: u64,
    model: String,
    outcome: Option<Outcome>,
    held: bool,
}

impl Entry {
    pub(super) fn completed(mut self) {
        self.outcome = Some(Outcome::Completed);
    }

    pub(super) fn broken(mut self) {
        self.outcome = Some(Outcome::Broken);
    }

    pub(super) fn hold(&mut self, held: bool) {
        if self.held != held {
            self.held = held;
            self.ledger.lock().change(&self.model, |counts| {
                counts.held = if held { counts.held + 1 } else { counts.held.saturating_sub(1) };
            });
            self.ledger.tell();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.hold(false);
        let outcome = self.outcome.unwrap_or_else(|| Outcome::Aborted(Instant::now()));
        let mut books = self.ledger.lock();
        if let Some(seen) = books.requests.iter_mut().rev().find(|seen| seen.id == self.id) {
            seen.outcome = outcome;
        }
        books.change(&self.model, |counts| {
            counts.in_flight -= 1;
            match outcome {
                Outcome::Completed => counts.completed += 1,
                Outcome::Broken => counts.broken += 1,
                Outcome::Aborted(_) | Outcome::InFlight => counts.aborted += 1,
            }
        });
        drop(books);
        self.ledger.tell();
    }
}

/// The counts of all calls, or of one model's: tests that share a provider each have a model of their own.
#[derive(Debug, Clone)]
pub struct Calls {
    ledger: Ledger,
    model: Option<String>,
}

impl Calls {
    pub(super) fn new(ledger: Ledger, model: Option<String>) -> Self {
        Self { ledger, model }
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        self.ledger.counts(self.model.as_deref())
    }

    /// The requests still remembered, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        let mut requests = self.ledger.requests();
        if let Some(model) = &self.model {
            requests.retain(|seen| seen.model == *model);
        }
        requests
    }

    /// Waits until the counts are as wanted, and returns them.
    pub async fn wait_until(&self, wanted: impl Fn(&Counts) -> bool, deadline: Duration) -> Result<Counts> {
        let mut changed = self.ledger.changed.subscribe();
        let wait = async {
            loop {
                let counts = self.counts();
                if wanted(&counts) || changed.changed().await.is_err() {
                    return counts;
                }
            }
        };
        match timeout(deadline, wait).await {
            Ok(counts) => Ok(counts),
            Err(_) => bail!("after {deadline:?} the provider's counts are still {:?}", self.counts()),
        }
    }
}
