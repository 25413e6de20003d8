//! Calls that go on in the background while a test does something to what serves them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use alphagate_tests::{Caller, until};
use anyhow::{Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;

/// Callers at once; half of them use each of two keys.
const LANES: usize = 4;
/// Between two calls of a caller: some hundred calls in all, on any machine.
const PAUSE: Duration = Duration::from_millis(40);
/// Longer than the edge is away when it is replaced, on a loaded machine.
const CALL_MAX: Duration = Duration::from_secs(60);

/// Running calls.
pub struct Calls {
    shared: Arc<Shared>,
    lanes: JoinSet<()>,
}

struct Shared {
    caller: Caller,
    keys: Mutex<[String; 2]>,
    served: AtomicU64,
    /// How often each caller has begun a call.
    begun: [AtomicU64; LANES],
    failures: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Calls {
    /// Begins, with the caller's key in both places.
    pub fn start(url: &str, caller: &Caller) -> Result<Self> {
        // One connection a call: those that are kept would hold the door open.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).timeout(CALL_MAX);
        let caller =
            Caller { edge_url: url.to_owned(), http: http.tls_certs_only([]).build()?, ..caller.clone() };
        let keys = Mutex::new([caller.key.secret.clone(), caller.key.secret.clone()]);
        let shared = Arc::new(Shared {
            caller,
            keys,
            served: AtomicU64::new(0),
            begun: Default::default(),
            failures: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            lanes.spawn(run(Arc::clone(&shared), lane));
        }
        Ok(Self { shared, lanes })
    }

    /// From the next call on, half of the callers use each of these.
    pub fn use_keys(&self, keys: [&str; 2]) {
        *self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys.map(str::to_owned);
    }

    /// The keys in use.
    pub fn keys(&self) -> [String; 2] {
        self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many more were served; fails as soon as one has failed.
    pub async fn more(&self, number: u64) -> Result<()> {
        let wanted = self.shared.served.load(Ordering::Relaxed) + number;
        until("calls", CALL_MAX, async || {
            let failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ensure!(failures.is_empty(), "calls failed: {failures:?}");
            Ok((self.shared.served.load(Ordering::Relaxed) >= wanted).then_some(()))
        })
        .await
    }

    /// Waits until every call that runs now has ended.
    pub async fn settle(&self) -> Result<()> {
        let begun = |at: usize| self.shared.begun[at].load(Ordering::Relaxed);
        let before: Vec<u64> = (0..LANES).map(begun).collect();
        until("running calls end", CALL_MAX, async || {
            Ok(before.iter().enumerate().all(|(at, before)| begun(at) > *before).then_some(()))
        })
        .await
    }

    /// Ends; gives how many were served, and what went wrong.
    pub async fn stop(mut self) -> (u64, Vec<String>) {
        self.shared.ended.store(true, Ordering::Relaxed);
        while self.lanes.join_next().await.is_some() {}
        let failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.shared.served.load(Ordering::Relaxed), failures)
    }
}

async fn run(shared: Arc<Shared>, lane: usize) {
    let mut streams = false;
    while !shared.ended.load(Ordering::Relaxed) {
        shared.begun[lane].fetch_add(1, Ordering::Relaxed);
        let key = shared.keys.lock().unwrap_or_else(PoisonError::into_inner)[lane % 2].clone();
        match call(&shared.caller, key, streams).await {
            Ok(()) => {
                shared.served.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let mut failures = shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
                failures.push(format!("{error:#}"));
            }
        }
        streams = !streams;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn call(caller: &Caller, key: String, streams: bool) -> Result<()> {
    let mut caller = caller.clone();
    caller.key.secret = key;
    let answer = caller.post(json!({"stream": streams})).await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200, "{status}: {text}");
    ensure!(!streams || text.contains("response.completed"), "a stream without its end: {text}");
    Ok(())
}
