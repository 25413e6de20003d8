//! A stand-in for control: it takes what the edge passes on, and says what came. What the edge itself asks of control is
//! handed to the real one.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use alphagate_bed::{Bed, Options};
use alphagate_contract::{
    ring::Ring,
    sign::{self, Audience, PRINCIPAL_HEADER, SIGNATURE_HEADER, Signed},
};
use anyhow::{Context, Result};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{
        Request, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;

/// The content of the file that it has.
pub const FILE: &str = "0123456789";

/// The stand-in, and the bed whose edge calls it.
pub struct StandIn {
    /// The bed.
    pub bed: &'static Bed,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    control_url: OnceLock<String>,
    ring: OnceLock<Ring>,
    http: reqwest::Client,
    events: std::sync::Mutex<Option<mpsc::UnboundedSender<String>>>,
}

impl StandIn {
    /// Starts it, and a bed around it.
    pub async fn start(options: Options) -> Result<Self> {
        let shared = Arc::new(Shared { http: alphagate_bed::http_client(None)?, ..Shared::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new()
            .route("/internal/{*path}", any(forward))
            .route("/v1/evals", any(echo))
            .route("/v1/evals/{*rest}", any(echo))
            .route("/v1/files", post(digest))
            .route("/v1/files/f/content", get(content))
            .route(
                "/v1/files/elsewhere",
                get(async || (StatusCode::FOUND, [("location", "https://store.example/f")])),
            )
            .route("/v1/jobs/j/events", get(events))
            .route("/v1/jobs/j/socket", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(repeat)))
            .route("/v1/jobs/broken", get(async || (StatusCode::BAD_GATEWAY, "<html>")))
            .with_state(Arc::clone(&shared));
        serve(listener.into_std()?, router)?;
        let bed: &'static Bed =
            Box::leak(Box::new(Bed::start(options.edge_var("AG_CONTROL_URL", url)).await?));
        let ring = Ring::parse(bed.secrets().get("AG_EDGE_TO_CONTROL_RING")?)?;
        let _ = (shared.control_url.set(bed.control_url()), shared.ring.set(ring));
        Ok(Self { bed, shared })
    }

    /// Says something to whoever listens to the job's events; false when nobody does.
    pub fn tell(&self, event: &str) -> bool {
        let events = self.shared.events.lock().expect("nobody panics with the lock");
        events.as_ref().is_some_and(|events| events.send(event.to_owned()).is_ok())
    }
}

/// Serves on a thread of its own: the runtime of a test ends with the test.
fn serve(listener: std::net::TcpListener, router: Router) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move { axum::serve(TcpListener::from_std(listener)?, router).await })
    });
    Ok(())
}

/// What only the edge itself asks goes to the real control.
async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let sent = async {
        let control = shared.control_url.get().context("not yet")?;
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        let request =
            shared.http.request(parts.method, format!("{control}{}", parts.uri)).headers(parts.headers);
        let answer = request.body(body).send().await?;
        anyhow::Ok((answer.status(), answer.bytes().await?).into_response())
    };
    sent.await.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
}

/// What came, and whether it was signed for.
fn seen(shared: &Shared, method: &Method, uri: &Uri, headers: &HeaderMap) -> Value {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let signed = Signed {
        audience: Audience::PassedOn,
        method: method.as_str(),
        path_and_query: path,
        body: text(PRINCIPAL_HEADER).as_bytes(),
    };
    let now_ms = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    let ring = shared.ring.get().expect("set at the start");
    let valid = sign::verify(ring, text(SIGNATURE_HEADER), &signed, now_ms).is_ok();
    let all: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    json!({"method": method.as_str(), "path": path, "signed": valid, "principal": text(PRINCIPAL_HEADER), "headers": all})
}

async fn echo(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut seen = seen(&shared, &method, &uri, &headers);
    seen["body"] = String::from_utf8_lossy(&body).into();
    let kept = [("x-request-id", "control's"), ("x-secret", "1"), ("set-cookie", "a=b"), ("etag", "\"e\"")];
    (StatusCode::IM_A_TEAPOT, kept, Json(seen)).into_response()
}

/// Reads a body of any size, and keeps its digest.
async fn digest(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (mut bytes, mut digest) = (0, Sha256::new());
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return StatusCode::BAD_REQUEST.into_response() };
        bytes += chunk.len();
        digest.update(&chunk);
    }
    let mut seen = seen(&shared, &method, &uri, &headers);
    seen["bytes"] = bytes.into();
    seen["sha256"] = hex::encode(digest.finalize()).into();
    Json(seen).into_response()
}

async fn content(headers: HeaderMap) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/jsonl"), (header::CONTENT_DISPOSITION, "attachment")];
    match headers.get(header::RANGE).map(|range| range.as_bytes()) {
        Some(b"bytes=2-4") => {
            let range = [(header::CONTENT_RANGE, "bytes 2-4/10"), (header::ACCEPT_RANGES, "bytes")];
            (StatusCode::PARTIAL_CONTENT, kind, range, &FILE[2..=4]).into_response()
        }
        _ => (kind, FILE).into_response(),
    }
}

/// An event stream that says what the test tells, and begins after `last-event-id`.
async fn events(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let (events, receiver) = mpsc::unbounded_channel();
    let last = headers.get("last-event-id").map_or("none", |id| id.to_str().unwrap_or("?"));
    let _ = events.send(format!("after {last}"));
    *shared.events.lock().expect("nobody panics with the lock") = Some(events);
    let lines =
        UnboundedReceiverStream::new(receiver).map(|text| Ok::<_, Infallible>(format!("data: {text}\n\n")));
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(lines)).into_response()
}

/// Repeats every message until the other side closes.
async fn repeat(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(text) = message
            && socket.send(Message::Text(format!("again: {text}").into())).await.is_err()
        {
            return;
        }
    }
}
