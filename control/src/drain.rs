//! Large bodies that nobody wants: read to their end after the answer, and thrown away.
//!
//! A server that closes on a body it has not read resets the connection, and the reset overtakes the answer: whoever
//! uploads with a key that may not, or more than a file may have, would read of a broken connection and try again.

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
};
use futures_util::{Stream, StreamExt as _};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::oneshot;

/// Bodies up to this size lie in buffers of the connection anyway, bytes.
const SMALL_BYTES: u64 = 256 * 1024;
/// Most that is thrown away, bytes: more than any upload that the edge passes on.
const UNWANTED_MAX_BYTES: usize = 640 * 1024 * 1024;
/// How long a caller may take to send what nobody wants.
const UNWANTED_MAX: Duration = Duration::from_secs(60);

/// Serves a request, and reads on if its body is large and was left unread.
pub(crate) async fn unread(request: Request, next: Next) -> Response {
    if is_small(&request) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let (back, left) = oneshot::channel();
    let lent = Lent { body: Some(body.into_data_stream()), back: Some(back) };
    tokio::spawn(async move {
        if let Ok(rest) = left.await {
            let _ = tokio::time::timeout(UNWANTED_MAX, throw_away(rest)).await;
        }
    });
    next.run(Request::from_parts(parts, Body::from_stream(lent))).await
}

fn is_small(request: &Request) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.and_then(|text| text.parse::<u64>().ok()) {
        Some(bytes) => bytes <= SMALL_BYTES,
        None => !request.headers().contains_key(header::TRANSFER_ENCODING),
    }
}

async fn throw_away(mut rest: BodyDataStream) {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = rest.next().await {
        bytes += chunk.len();
        if bytes > UNWANTED_MAX_BYTES {
            return;
        }
    }
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Option<BodyDataStream>,
    back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.poll_next_unpin(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // Nobody waits for it when the program ends.
            let _ = back.send(body);
        }
    }
}
