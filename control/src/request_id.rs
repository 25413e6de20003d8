//! The id of a request: taken over from the edge, or made here; echoed, and in every line of the log.
//!
//! One line per request is written when it has been answered. Neither bodies nor headers nor queries are logged.

use crate::{app::App, error};
use alphagate_contract::{
    id::RequestId,
    problem::{Code, Problem},
};
use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Response as HttpResponse},
    middleware::Next,
    response::Response,
};
use std::any::Any;
use tokio::time::Instant;
use tracing::{Instrument as _, field};

/// Header that carries the id.
const HEADER: &str = "x-request-id";
/// Longest id that is taken over.
const ID_MAX_LEN: usize = 64;

/// The id of the request at hand, for whoever notes it down.
#[derive(Debug, Clone)]
pub(crate) struct Id(pub(crate) String);

/// The caller's id, if it is one that can be logged and searched for.
fn given(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let fits = (1..=ID_MAX_LEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    fits.then_some(text)
}

/// Serves a request under its id.
pub(crate) async fn under_id(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = given(request.headers()).map_or_else(|| app.new_id(RequestId::new).to_string(), str::to_owned);
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", request_id = %id, %method, route, org = field::Empty, key = field::Empty);
    request.extensions_mut().insert(Id(id.clone()));
    let started = Instant::now();
    let serve = async move {
        let mut response = next.run(request).await;
        let status = response.status().as_u16();
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status, elapsed_ms, "answered");
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(HEADER, value);
        }
        response
    };
    serve.instrument(span).await
}

/// What a client reads when a handler has a bug that panics.
pub(crate) fn after_panic(panic: Box<dyn Any + Send + 'static>) -> HttpResponse<Body> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = text, "a handler panicked");
    error::respond(&Problem::new(Code::Internal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        let headers = |text: &str| HeaderMap::from_iter([(HEADER.parse().unwrap(), text.parse().unwrap())]);
        assert_eq!(given(&headers("req_01-a.b")), Some("req_01-a.b"));
        for bad in ["", "a b", "a\"b", "a{}", &"x".repeat(65)] {
            assert_eq!(given(&headers(bad)), None, "{bad}");
        }
    }
}
