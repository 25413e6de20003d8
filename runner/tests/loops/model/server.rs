//! The model behind HTTP, on whatever bytes a host gives it: turmoil's or the machine's.
//!
//! Polls are held as the contract says. Tests can ask for faults: an answer instead of the work, or instead of the answer.

use super::Model;
use alphagate_contract::{
    id::RunnerId,
    job::dispatch::{AskCommands, Claim, Claims, Finish, Output, Register, Renew},
    problem::{Code, Problem},
};
use alphagate_runner::watched::Watched;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};

/// How often a held poll looks again, besides at every change: leases run out and waits end by themselves.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a test asks for at the next call of a verb.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// This status, and nothing is done.
    Instead(u16),
    /// It is done, and the answer is this status.
    After(u16),
}

/// A control whose state outlives its connections.
#[derive(Clone)]
pub struct Control {
    pub model: Arc<Mutex<Model>>,
    pub faults: Arc<Mutex<BTreeMap<&'static str, VecDeque<Fault>>>>,
    /// Counts changes, for polls that wait.
    changes: Arc<Watched<u64>>,
    /// Its own clock.
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub token: String,
}

enum Reply {
    Body(Vec<u8>),
    Problem(Code),
    Status(u16),
}

impl Control {
    pub fn new(model: Model, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            model: Arc::new(Mutex::new(model)),
            faults: Arc::default(),
            changes: Arc::new(Watched::new(0)),
            clock: Arc::new(clock),
            token: "ag-runner-token".to_owned(),
        }
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        let result = change(&mut self.model.lock().unwrap());
        self.changes.change(|count| *count += 1);
        result
    }

    pub fn fail(&self, verb: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().entry(verb).or_default().extend(faults);
    }

    /// Waits until the model is as wanted.
    pub async fn until(&self, condition: impl Fn(&Model) -> bool) {
        self.changes.wait_until(|_| condition(&self.model.lock().unwrap())).await;
    }

    /// Serves one connection until it ends.
    pub async fn serve(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        // A connection that breaks is its client's affair.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().trim_start_matches("/runner/v1/runners").to_owned();
        let is_delete = request.method() == "DELETE";
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if bearer != Some(&format!("Bearer {}", self.token)) {
            return response(Reply::Problem(Code::KeyInvalid));
        }
        let Ok(body) = request.into_body().collect().await else { return response(Reply::Status(400)) };
        let mut parts = path.trim_start_matches('/').split('/');
        let runner = parts.next().and_then(|id| id.parse::<RunnerId>().ok());
        let verb = if is_delete { "goodbye" } else { parts.next().unwrap_or("register") };
        let fault = self.faults.lock().unwrap().get_mut(verb).and_then(VecDeque::pop_front);
        if let Some(Fault::Instead(status)) = fault {
            return response(Reply::Status(status));
        }
        let reply = self.route(verb, runner, &body.to_bytes()).await;
        match fault {
            Some(Fault::After(status)) => response(Reply::Status(status)),
            _ => response(reply),
        }
    }

    async fn route(&self, verb: &str, runner: Option<RunnerId>, body: &[u8]) -> Reply {
        let now = || (self.clock)();
        let Some(runner) = runner else {
            let register: Register = serde_json::from_slice(body).unwrap();
            return reply(Ok(self.change(|model| model.register(now(), &register))));
        };
        match verb {
            "claim" => self.claim(runner, &serde_json::from_slice(body).unwrap()).await,
            "commands" => self.commands(runner, &serde_json::from_slice(body).unwrap()).await,
            "renew" => {
                let renew: Renew = serde_json::from_slice(body).unwrap();
                reply(self.change(|model| model.renew(now(), runner, &renew)))
            }
            "output" => {
                let output: Output = serde_json::from_slice(body).unwrap();
                reply(self.change(|model| model.output(now(), runner, output)))
            }
            "finish" => {
                let finish: Finish = serde_json::from_slice(body).unwrap();
                reply(self.change(|model| model.finish(now(), runner, finish)))
            }
            "goodbye" => {
                self.change(|model| model.goodbye(now(), runner));
                reply(Ok(()))
            }
            _ => Reply::Problem(Code::RouteNotFound),
        }
    }

    async fn claim(&self, runner: RunnerId, claim: &Claim) -> Reply {
        self.hold(|model, now_ms| {
            let jobs = model.claim(now_ms, runner, claim.free)?;
            Ok((!jobs.is_empty(), Claims { jobs }))
        })
        .await
    }

    async fn commands(&self, runner: RunnerId, ask: &AskCommands) -> Reply {
        self.hold(|model, now_ms| {
            let commands = model.commands(now_ms, runner, ask)?;
            Ok((commands.drain || !commands.stop.is_empty(), commands))
        })
        .await
    }

    /// Asks until there is something to say, or for the length of a poll.
    async fn hold<T: Serialize>(&self, ask: impl Fn(&mut Model, u64) -> Result<(bool, T), Code>) -> Reply {
        let until = Instant::now() + Duration::from_millis(self.model.lock().unwrap().times.poll_ms);
        loop {
            let seen = self.changes.look(|count| *count);
            let asked = ask(&mut self.model.lock().unwrap(), (self.clock)());
            match asked {
                Ok((is_news, answer)) if is_news || Instant::now() >= until => {
                    if is_news {
                        self.changes.change(|count| *count += 1);
                    }
                    return reply(Ok(answer));
                }
                Ok(_) => {}
                Err(code) => return Reply::Problem(code),
            }
            let wait = LOOK_AGAIN.min(until.saturating_duration_since(Instant::now()));
            let _ = timeout(wait, self.changes.wait_until(|count| *count != seen)).await;
        }
    }
}

fn reply<T: Serialize>(result: Result<T, Code>) -> Reply {
    match result {
        Ok(answer) => Reply::Body(serde_json::to_vec(&answer).unwrap()),
        Err(code) => Reply::Problem(code),
    }
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let (status, body) = match reply {
        Reply::Body(body) => (200, body),
        Reply::Problem(code) => (code.status(), Problem::new(code).body().into_bytes()),
        Reply::Status(status) => (status, vec![]),
    };
    Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap()
}
