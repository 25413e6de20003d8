//! One runner with its real loops and its real HTTP, in front of a control in this process.

use crate::{
    model::{Model, Times, server::Control},
    simulation::fake::{Fake, Script, Tally},
};
use alphagate_contract::{
    job::{
        Ending, SampleSpec,
        dispatch::{Register, Slots, Work},
    },
    secret::Secret,
};
use alphagate_runner::{
    drain::{Departure, Orders},
    executor::Executor,
    http::Http,
    lease::TokenRefused,
    platform::Host,
    runner::{Parts, Runner},
};
use serde_json::Value;
use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

/// Leases are long enough for a busy machine.
pub const TIMES: Times = Times { lease_ms: 5_000, renew_ms: 200, poll_ms: 400, backoff_ms: 10 };
/// What nothing may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Stand {
    pub control: Control,
    pub url: String,
    pub tally: Arc<Mutex<Tally>>,
    pub orders: Orders,
    pub drain_max: Duration,
}

impl Stand {
    pub async fn new() -> Self {
        let begun = Instant::now();
        let clock = move || 1_000_000 + u64::try_from(begun.elapsed().as_millis()).unwrap();
        let control = Control::new(Model::new(TIMES, "http://127.0.0.1:9"), clock);
        let url = listen(control.clone()).await;
        Self { control, url, tally: Arc::default(), orders: Orders::default(), drain_max: PATIENCE }
    }

    /// Starts the runner, with sandboxes that only take time.
    pub fn start(&self) -> JoinHandle<Result<Departure, TokenRefused>> {
        self.start_with(Arc::new(Fake { runner: 0, tally: Arc::clone(&self.tally) }))
    }

    pub fn start_with(&self, executor: Arc<dyn Executor>) -> JoinHandle<Result<Departure, TokenRefused>> {
        let runner = Runner::new(Parts {
            control_url: self.url.clone(),
            token: Secret::new(self.control.token.clone()),
            offer: offer(),
            edge_url: None,
            drain_max: self.drain_max,
            transport: Arc::new(Http::new().unwrap()),
            executor,
            platform: Arc::new(Host),
        });
        tokio::spawn(runner.run(self.orders.clone()))
    }

    /// Waits until the model is as wanted, and not for ever.
    pub async fn until(&self, what: &str, condition: impl Fn(&Model) -> bool) {
        in_time(what, self.control.until(condition)).await;
    }

    pub async fn until_done(&self) {
        self.until("the end of every job", Model::is_done).await;
    }

    pub fn enqueue(&self, script: &Script) -> alphagate_contract::id::JobId {
        self.control.change(|model| model.enqueue(script.work()))
    }

    pub fn ask(&self, edge_url: &str, body: Value, wall_ms: u64) -> alphagate_contract::id::JobId {
        let spec = SampleSpec { path: "/v1/responses".to_owned(), body, wall_ms };
        let key = Secret::new("ag_test_of_a_run".to_owned());
        self.control.change(|model| {
            model.edge_url = edge_url.to_owned();
            model.enqueue(Work::Sample { spec, key })
        })
    }
}

/// Serves a control on a port of its own; gives its URL.
pub async fn listen(control: Control) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let control = control.clone();
            tokio::spawn(async move { control.serve(stream).await });
        }
    });
    url
}

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what} in {PATIENCE:?}"))
}

pub fn offer() -> Register {
    Register {
        name: "host".to_owned(),
        labels: vec![],
        slots: Slots { sandbox: 2, sample: 2 },
        version: "0.1.0".to_owned(),
        engine: "fake".to_owned(),
        weak: true,
        images: vec![],
    }
}

/// A job that writes some lines and exits with this.
pub fn exits(code: i32) -> Script {
    Script {
        name: 1,
        wall_ms: 60,
        is_endless: false,
        chunks: 3,
        chunk_bytes: 40,
        endings: vec![Ending::Exited { code }],
    }
}

/// A job whose first run does not end by itself.
pub fn endless() -> Script {
    Script { is_endless: true, ..exits(0) }
}
