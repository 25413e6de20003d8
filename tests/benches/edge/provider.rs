//! A provider that costs as little as one can: answers are written down beforehand, requests are not parsed.
//!
//! What it is to do stands in the request's text as a word that every gateway passes on. Invariant: it has a thread and
//! a runtime of its own, so that no client delays it.

use super::script::{self, Protocol, Script};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{net::TcpListener, runtime, time};

type Body = BoxBody<Bytes, Infallible>;

/// Between two tries to accept, when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Starts one, which serves until the process ends; answers where it listens.
pub fn start() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name("provider".to_owned())
        .spawn(move || runtime.block_on(serve(listener)))
        .context("no thread for the provider")?;
    Ok(address)
}

async fn serve(listener: std::net::TcpListener) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let script = Arc::new(Script::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // A late packet is part of no gateway's cost.
        stream.set_nodelay(true)?;
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&script)));
            // An error says that the client has left.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, script: Arc<Script>) -> Result<Response<Body>, hyper::Error> {
    if request.method() == Method::GET {
        return Ok(whole(Bytes::from_static(b"{\"object\":\"list\",\"data\":[]}")));
    }
    let protocol = match request.uri().path() {
        path if path.ends_with("/chat/completions") => Protocol::Chat,
        _ => Protocol::Responses,
    };
    let body = request.into_body().collect().await?.to_bytes();
    Ok(match script::asked(&body) {
        Some(script::Asked::Plain) => whole(script.plain(protocol)),
        Some(script::Asked::Short) => events(stream::iter(script.short(protocol))),
        Some(script::Asked::Bulk) => events(stream::iter(script.bulk(protocol))),
        Some(script::Asked::Paced) => events(paced(&script, protocol)),
        None => status(StatusCode::BAD_REQUEST),
    })
}

/// Events in even time, each with the moment at which it was written.
fn paced(script: &Script, protocol: Protocol) -> impl stream::Stream<Item = Bytes> + Send + Sync + use<> {
    let beats = time::interval(script::PACE);
    let deltas = stream::iter(1..=script::PACED_EVENTS).zip(stream::unfold(beats, |mut beats| async move {
        beats.tick().await;
        Some(((), beats))
    }));
    let deltas = deltas.map(move |(number, ())| script::stamped_delta(protocol, number));
    let (first, last) = script.around(protocol);
    stream::iter(first).chain(deltas).chain(stream::iter(last))
}

fn whole(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn events(bytes: impl stream::Stream<Item = Bytes> + Send + Sync + 'static) -> Response<Body> {
    let frames = bytes.map(|bytes| Ok(Frame::data(bytes)));
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = whole(Bytes::from_static(b"{\"error\":{\"message\":\"no such word\"}}"));
    *response.status_mut() = status;
    response
}
