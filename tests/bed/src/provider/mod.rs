//! A fake provider on 127.0.0.1, as good or as bad as a test wants: OpenAI's Responses, chat completions, embeddings and
//! moderations, Anthropic's Messages and Gemini's `generateContent`.
//!
//! It stands on plain TCP: the faults it is made for lie below what an HTTP library lets one say.
//! What is answered is a script, said once; each protocol renders it.
//! Invariant: without knobs it behaves as the real ones do; with knobs it does exactly what they say.

mod answer;
mod anthropic;
mod ask;
mod chat;
mod connection;
mod deliver;
mod embeddings;
mod fault;
mod gemini;
mod knobs;
mod ledger;
mod moderations;
mod place;
mod png;
mod protocol;
mod responses;
mod script;
mod seal;
mod serve;
mod sse;
#[cfg(test)]
mod tests;
mod text;
mod wire;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::ports::Lease;
use crate::{limits, runtime};

pub use knobs::{Eol, Knobs, Refusal, Scripted, ScriptedCall, Terminal, Tokens};
pub use ledger::{Calls, Counts, Outcome, Seen};
pub use png::png;

/// Clients that connect at once: a thousand calls, and room.
const BACKLOG: u32 = 4_096;
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// A running provider. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Provider {
    shared: Arc<Shared>,
    lease: Lease,
    accepting: JoinHandle<()>,
}

/// What its connections share.
#[derive(Debug)]
struct Shared {
    ledger: ledger::Ledger,
    release: watch::Sender<u64>,
    defaults: Mutex<Defaults>,
}

#[derive(Debug, Default)]
struct Defaults {
    of_all: Knobs,
    of_model: HashMap<String, Knobs>,
}

impl Shared {
    fn knobs_for(&self, ask: &ask::Ask<'_>) -> Knobs {
        let defaults = self.defaults.lock().unwrap_or_else(PoisonError::into_inner);
        let mut knobs = defaults.of_all.clone();
        for more in [defaults.of_model.get(&ask.model), ask.x_fake.as_ref()].into_iter().flatten() {
            knobs = more.over(&knobs);
        }
        knobs
    }
}

impl Provider {
    /// Starts one on a free port.
    pub async fn start() -> Result<Self> {
        Self::on(Lease::take(None)?).await
    }

    pub(crate) async fn on(lease: Lease) -> Result<Self> {
        limits::raise_open_files();
        let handle = runtime::handle()?;
        let (release, _) = watch::channel(0);
        let defaults = Mutex::default();
        let shared = Arc::new(Shared { ledger: ledger::Ledger::new(), release, defaults });
        let port = lease.port;
        let listener = handle.spawn(async move { listen(port) }).await?;
        let listener = listener.context("the fake provider cannot listen")?;
        let accepting = handle.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, lease, accepting })
    }

    /// Where it listens, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.lease.port)
    }

    /// What a target's `base_url` is, in every protocol.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// The url of a real PNG of about so many bytes.
    pub fn image_url(&self, bytes: u32) -> String {
        format!("{}/image.png?bytes={bytes}", self.url())
    }

    /// Knobs of every call that does not say otherwise.
    pub fn set_default(&self, knobs: Knobs) {
        self.defaults().of_all = knobs;
    }

    /// Knobs of every call of this model that does not say otherwise.
    pub fn set_model(&self, model: &str, knobs: Knobs) {
        self.defaults().of_model.insert(model.to_owned(), knobs);
    }

    /// Lets every call go on that is held now.
    pub fn release(&self) {
        self.shared.release.send_modify(|count| *count += 1);
    }

    /// All calls.
    pub fn calls(&self) -> Calls {
        Calls::new(self.shared.ledger.clone(), None)
    }

    /// The calls of one model: for tests that share a provider.
    pub fn calls_of(&self, model: &str) -> Calls {
        Calls::new(self.shared.ledger.clone(), Some(model.to_owned()))
    }

    fn defaults(&self) -> std::sync::MutexGuard<'_, Defaults> {
        self.shared.defaults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // Its connections are a set that the task owns: they end with it.
        self.accepting.abort();
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve::connection(stream, Arc::clone(&shared)));
            }
            // File descriptors can run out for a moment.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}
