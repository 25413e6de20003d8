//! A stand-in for the edge: it checks signatures, keeps what it is pushed, and fails as it is told.

use alphagate_contract::{
    record::{Push, Pushed, Record, RecordKey, RecordValue},
    ring::Ring,
    sign::{Audience, SIGNATURE_HEADER, Signed, verify},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::net::TcpListener;

#[derive(Clone)]
pub struct FakeEdge(Arc<Inner>);

struct Inner {
    url: String,
    ring: Ring,
    state: Mutex<EdgeState>,
}

#[derive(Default)]
struct EdgeState {
    /// Every push that was accepted, in order.
    pushes: Vec<Push>,
    /// The newest revision of each record.
    records: HashMap<RecordKey, Record>,
    /// Times of every attempt, accepted or not.
    attempts: Vec<(alphagate_contract::id::OrgId, std::time::Instant)>,
    /// Answer to every push, or to those of one org.
    refuse: Option<StatusCode>,
    refuse_org: Option<alphagate_contract::id::OrgId>,
    delay: Duration,
    /// Take between none and three times the delay.
    uneven: bool,
    /// Accept, but lose the answer.
    lose_answers: bool,
    out_of_order: Vec<String>,
    unsigned: usize,
}

#[expect(clippy::disallowed_methods, reason = "a signature has a time")]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

impl FakeEdge {
    pub async fn start(ring: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ring = Ring::parse(ring).unwrap();
        let edge = Self(Arc::new(Inner { url, ring, state: Mutex::default() }));
        let router = Router::new().route("/internal/v1/records", post(take)).with_state(edge.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        edge
    }

    pub fn url(&self) -> &str {
        &self.0.url
    }

    fn state<T>(&self, with: impl FnOnce(&mut EdgeState) -> T) -> T {
        with(&mut self.0.state.lock().unwrap())
    }

    pub fn refuse(&self, status: Option<u16>) {
        self.state(|state| state.refuse = status.map(|status| StatusCode::from_u16(status).unwrap()));
    }

    pub fn refuse_org(&self, org: Option<&str>) {
        self.state(|state| state.refuse_org = org.map(|org| org.parse().unwrap()));
    }

    pub fn delay(&self, delay: Duration) {
        self.state(|state| state.delay = delay);
    }

    pub fn uneven_delay(&self, delay: Duration) {
        self.delay(delay);
        self.state(|state| state.uneven = true);
    }

    pub fn lose_answers(&self, lose: bool) {
        self.state(|state| state.lose_answers = lose);
    }

    pub fn attempts(&self, org: &str) -> Vec<std::time::Instant> {
        let org = org.parse().unwrap();
        self.state(|state| {
            state.attempts.iter().filter(|(whose, _)| *whose == org).map(|(_, at)| *at).collect()
        })
    }

    pub fn record(&self, key: &str) -> Option<Record> {
        let key = key.parse().unwrap();
        self.state(|state| state.records.get(&key).cloned())
    }

    pub fn value(&self, key: &str) -> RecordValue {
        self.record(key).unwrap_or_else(|| panic!("the edge has no {key}")).value
    }

    /// The keys of everything pushed for an org, in the order of arrival.
    pub fn order(&self, org: &str) -> Vec<(String, u64)> {
        let org = org.parse().unwrap();
        self.state(|state| {
            let pushes = state.pushes.iter().filter(|push| push.org == org);
            pushes
                .flat_map(|push| &push.records)
                .map(|record| (record.key.to_string(), record.revision))
                .collect()
        })
    }

    /// Nothing came unsigned, and no record went back.
    pub fn assert_sound(&self) {
        self.state(|state| {
            assert_eq!(state.unsigned, 0, "pushes without a valid signature");
            assert_eq!(state.out_of_order, Vec::<String>::new());
        });
    }
}

async fn take(State(edge): State<FakeEdge>, headers: HeaderMap, body: Bytes) -> Response {
    let header = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let signed = Signed {
        audience: Audience::Edge,
        method: "POST",
        path_and_query: "/internal/v1/records",
        body: &body,
    };
    if verify(&edge.0.ring, header, &signed, now_ms()).is_err() {
        edge.state(|state| state.unsigned += 1);
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert!(headers.contains_key("x-request-id"));
    let push: Push = serde_json::from_slice(&body).unwrap();
    let (delay, refuse) = edge.state(|state| {
        state.attempts.push((push.org, std::time::Instant::now()));
        let refused_org = (state.refuse_org == Some(push.org)).then_some(StatusCode::SERVICE_UNAVAILABLE);
        let times = if state.uneven { state.attempts.len() as u32 * 7 % 4 } else { 1 };
        (state.delay * times, state.refuse.or(refused_org))
    });
    tokio::time::sleep(delay).await;
    if let Some(status) = refuse {
        return status.into_response();
    }
    let lost = edge.state(|state| {
        keep(state, push);
        state.lose_answers
    });
    if lost {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    Json(Pushed { applied: 1, kv_pending: 0 }).into_response()
}

fn keep(state: &mut EdgeState, push: Push) {
    for record in &push.records {
        match state.records.get(&record.key) {
            Some(newer) if newer.revision > record.revision => {
                state
                    .out_of_order
                    .push(format!("{} {} after {}", record.key, record.revision, newer.revision));
            }
            _ => {
                state.records.insert(record.key.clone(), record.clone());
            }
        }
    }
    state.pushes.push(push);
}
