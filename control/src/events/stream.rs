//! `GET /v1/jobs/{id}/events`: a job's messages as server-sent events, or over a WebSocket, if the client asks for one.
//!
//! The client's pace is the reader's: what it does not take is not read. After a broken connection it goes on with
//! `Last-Event-ID`, or with `?after=` where it cannot send headers.

use crate::{
    app::App,
    error::{Answer, Error},
    jobs::{Feed, Message, Place},
    params::{Id, Query},
    principal::Evaluator,
};
use alphagate_contract::{
    id::JobId,
    problem::{Code, Problem},
};
use axum::{
    extract::{
        State,
        ws::{self, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::HeaderMap,
    response::{
        IntoResponse as _,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, TryStreamExt as _, stream};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How often a silent connection shows that it is alive: below the shortest idle timeout of the usual proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client may take for one message over a WebSocket.
const SEND_MAX: Duration = Duration::from_secs(30);
/// Longest message that a client may send: it has nothing to say.
const HEARD_MAX_BYTES: usize = 1024;

/// The query.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    after: Option<String>,
}

fn place(query: &EventsQuery, headers: &HeaderMap) -> Result<Place, Error> {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let text = query.after.as_deref().or(header).unwrap_or_default();
    text.parse().map_err(|()| {
        let problem = Problem::new(Code::ParameterInvalid).param("after");
        problem.message("`after` must be the `id` of a message of this job.").into()
    })
}

/// Tells what a job does, as server-sent events, or over a WebSocket if the request asks to upgrade. Each message is
/// a `JobEvent`.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    params(
        ("id" = JobId, Path),
        EventsQuery,
        ("last-event-id" = Option<String>, Header, description = "As `after`."),
    ),
    responses(
        (status = 101, description = "The connection is a WebSocket from now on."),
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 503, description = "overloaded"),
    ),
)]
pub(crate) async fn stream(
    evaluator: Evaluator,
    State(app): State<App>,
    Id(job): Id<JobId>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer {
    let place = place(&query, &headers)?;
    let permit = app.hub().stream_permit().ok_or(Code::Overloaded)?;
    let feed = Feed::new(app, evaluator.org, job, place);
    if !feed.exists().await? {
        return Err(Code::NotFound.into());
    }
    if let Ok(upgrade) = upgrade {
        let upgrade = upgrade.max_message_size(HEARD_MAX_BYTES);
        return Ok(upgrade.on_upgrade(move |socket| over_websocket(socket, feed, permit)));
    }
    let events = Sse::new(messages(feed, permit).and_then(async |message| event(&message)));
    Ok(events.keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn messages(feed: Feed, permit: OwnedSemaphorePermit) -> impl Stream<Item = Result<Message, axum::Error>> {
    let batches = stream::try_unfold((feed, permit), async |(mut feed, permit)| {
        let batch = feed.next().await.map_err(axum::Error::new)?;
        Ok::<_, axum::Error>(batch.map(|batch| (stream::iter(batch.into_iter().map(Ok)), (feed, permit))))
    });
    batches.try_flatten()
}

fn event(message: &Message) -> Result<Event, axum::Error> {
    Event::default().id(&message.id).event(message.name()).json_data(message)
}

async fn over_websocket(mut socket: WebSocket, mut feed: Feed, _permit: OwnedSemaphorePermit) {
    while !feed.is_over() {
        let Ok(batch) = feed.look().await else { break };
        if batch.is_empty() && !feed.is_over() && !idle(&mut socket, &mut feed).await {
            return;
        }
        for message in batch {
            let Ok(text) = serde_json::to_string(&message) else { return };
            if !send(&mut socket, ws::Message::Text(text.into())).await {
                return;
            }
        }
    }
    if send(&mut socket, ws::Message::Close(None)).await {
        closed(&mut socket).await;
    }
}

/// Takes what the client still says until it has closed, too: a connection that is dropped with something unread in it is
/// reset, and the client may lose the last messages with it.
async fn closed(socket: &mut WebSocket) {
    let heard = async { while let Some(Ok(_)) = socket.recv().await {} };
    let _ = tokio::time::timeout(SEND_MAX, heard).await;
}

/// Waits until it is time to look again; whether the client is still there.
async fn idle(socket: &mut WebSocket, feed: &mut Feed) -> bool {
    loop {
        tokio::select! {
            () = feed.changed() => return true,
            heard = socket.recv() => match heard {
                // Pings are answered by the library; anything else is nothing that we asked for.
                Some(Ok(message)) if !matches!(message, ws::Message::Close(_)) => {}
                _ => return false,
            },
            () = tokio::time::sleep(KEEP_ALIVE) => {
                if !send(socket, ws::Message::Ping(Default::default())).await {
                    return false;
                }
            }
        }
    }
}

/// Whether the client took it in time.
async fn send(socket: &mut WebSocket, message: ws::Message) -> bool {
    matches!(tokio::time::timeout(SEND_MAX, socket.send(message)).await, Ok(Ok(())))
}
