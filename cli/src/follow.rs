//! Server-sent events, followed to their end: a connection that breaks is made again, from where it broke.

use crate::{client::Client, failure::Failure};
use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use sse_stream::{Sse, SseByteStream};
use std::{ops::ControlFlow, pin::pin, time::Duration};

/// Longest silence: control says every 15 s that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How often a connection is made again without anything new having come.
const ATTEMPTS_MAX: u32 = 8;
/// Between two connections: longer than control takes to start again, in all.
const PAUSE: Duration = Duration::from_secs(1);
/// Header from which the server knows where to go on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Gives every event to `take` until it breaks.
pub(crate) async fn follow<T>(
    client: &Client,
    path: &[&str],
    mut take: impl FnMut(&Sse) -> Result<ControlFlow<T>, Failure>,
) -> Result<T, Failure> {
    let mut last_id: Option<String> = None;
    let mut attempt = 0;
    loop {
        let failure = match client.open(path, &[], headers(last_id.as_deref())).await {
            Ok(response) => {
                let mut events = pin!(SseByteStream::new(response.bytes_stream()));
                loop {
                    let next = tokio::time::timeout(SILENCE_MAX, events.next()).await;
                    // Whatever ended it: the next connection shows whether there is more.
                    let Ok(Some(Ok(event))) = next else { break };
                    if let ControlFlow::Break(done) = take(&event)? {
                        return Ok(done);
                    }
                    attempt = 0;
                    last_id = event.id.or(last_id);
                }
                Failure::unreachable(client.base().as_str(), "the connection ends again and again")
            }
            Err(failure) if failure.refusal().is_some_and(|refusal| refusal.status < 500) => {
                return Err(failure);
            }
            Err(failure) => failure,
        };
        attempt += 1;
        if attempt > ATTEMPTS_MAX {
            return Err(failure);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn headers(last_id: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/event-stream"))]);
    if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(LAST_EVENT_ID, id);
    }
    headers
}
