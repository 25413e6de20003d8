//! The simulated hosts: a control (the model), an edge, and runners with their real loops.

use super::{
    fake::{Fake, Tally},
    frozen::{FrozenPlatform, Gate},
};
use crate::model::{Times, server::Control};
use alphagate_contract::{
    job::dispatch::{Register, Slots},
    secret::Secret,
};
use alphagate_runner::{
    drain::Orders,
    runner::{Parts, Runner},
    transport::{Answer, Call, Transport, Unreachable, retry_after_ms},
};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1 as client,
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    cell::Cell,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{sleep, timeout};
use turmoil::{
    Sim,
    net::{TcpListener, TcpStream},
};

/// Short times, so that a seed is short.
pub const TIMES: Times = Times { lease_ms: 6_000, renew_ms: 2_000, poll_ms: 3_000, backoff_ms: 300 };
pub const SLOTS: Slots = Slots { sandbox: 2, sample: 2 };
const PORT: u16 = 80;

/// The name of a runner's host.
pub fn host(runner: usize) -> String {
    format!("runner-{runner}")
}

/// HTTP over the simulated network, a connection per call.
struct Simulated;

impl Transport for Simulated {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, Unreachable>> {
        Box::pin(async move {
            let limit = call.timeout;
            let result = timeout(limit, exchange(call)).await;
            result
                .map_err(|_| Unreachable("too slow".to_owned()))?
                .map_err(|error| Unreachable(error.to_string()))
        })
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(call: Call) -> Result<Answer, Failed> {
    let rest = call.url.trim_start_matches("http://");
    let (host, path) = rest.split_once('/').ok_or("no path")?;
    let stream = TcpStream::connect((host.to_owned(), PORT)).await?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(call.method.as_str())
        .uri(format!("/{path}"))
        .header("host", host)
        .header("authorization", format!("Bearer {}", call.bearer.reveal()))
        .body(Full::new(call.body))?;
    let answering = async {
        let response = sender.send_request(request).await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let request_id = header("x-request-id").map(str::to_owned);
        let retry_after_ms = header("retry-after").and_then(retry_after_ms);
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), call.answer_max_bytes).collect().await?.to_bytes();
        Ok(Answer { status, request_id, retry_after_ms, body })
    };
    tokio::select! {
        biased;
        answer = answering => answer,
        ended = connection => Err(ended.err().map_or_else(|| "the connection ended".into(), Into::into)),
    }
}

pub fn add_control(sim: &mut Sim<'_>, control: &Control) {
    let control = control.clone();
    sim.host("control", move || {
        let control = control.clone();
        async move {
            let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
            loop {
                let (stream, _) = listener.accept().await?;
                let control = control.clone();
                tokio::spawn(async move { control.serve(stream).await });
            }
        }
    });
}

/// An edge that says back what it was asked, after the time that it was asked to take.
pub fn add_edge(sim: &mut Sim<'_>) {
    sim.host("edge", || async {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let service = service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
            let connection = server::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move { connection.await.ok() });
        }
    });
}

async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Ok(body) = request.into_body().collect().await else { return Response::default() };
    let asked: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    sleep(Duration::from_millis(asked["wall_ms"].as_u64().unwrap())).await;
    let answer = json!({ "said": asked["name"] }).to_string();
    Response::builder().header("x-request-id", "req-1").body(Full::new(Bytes::from(answer))).unwrap()
}

/// A runner's host; a restarted one is another runner.
pub fn add_runner(
    sim: &mut Sim<'_>,
    number: usize,
    seed: u64,
    gate: &Gate,
    tally: &Arc<Mutex<Tally>>,
    token: &str,
) {
    let (gate, tally, token) = (gate.clone(), Arc::clone(tally), token.to_owned());
    let starts = Cell::new(0_u64);
    sim.host(host(number), move || {
        starts.set(starts.get() + 1);
        let seed = seed ^ ((number as u64) << 32) ^ (starts.get() << 48);
        let runner = Runner::new(Parts {
            control_url: "http://control/".to_owned(),
            token: Secret::new(token.clone()),
            offer: offer(number),
            edge_url: None,
            drain_max: Duration::from_secs(20),
            transport: Arc::new(Simulated),
            executor: Arc::new(Fake { runner: number, tally: Arc::clone(&tally) }),
            platform: Arc::new(FrozenPlatform::new(gate.clone(), seed)),
        });
        let gate = gate.clone();
        async move {
            gate.guard(runner.run(Orders::default())).await?;
            Ok(())
        }
    });
}

fn offer(number: usize) -> Register {
    Register {
        name: host(number),
        labels: vec![],
        slots: SLOTS,
        version: "0.1.0".to_owned(),
        engine: "fake".to_owned(),
        weak: true,
        images: vec!["minimal".to_owned()],
    }
}
