//! Routes of the provider, and the life of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Shared;
use super::call::{Answer, Call};
use super::connection::{Broken, Connection, Head};
use super::deliver::{Delivery, End};
use super::embeddings;
use super::knobs::{Knobs, Refusal};
use super::ledger::{Arrival, Entry};
use super::png;
use super::wire::Wire;

/// Where a redirect leads that wants to reach the cloud's metadata service.
const METADATA_URL: &str = "http://169.254.169.254/latest/meta-data/";
/// The image of issue and fault table: 2 MB.
const IMAGE_BYTES: u32 = 2_000_000;

/// Serves requests on one connection until it ends.
pub(super) async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let mut connection = Connection::new(stream);
    loop {
        let request = match read(&mut connection).await {
            Ok(request) => request,
            Err(Broken::Gone) => return,
            Err(Broken::Halfway) => return shared.ledger.incomplete(),
            Err(Broken::Malformed(why)) => {
                let _ =
                    plain(&mut connection, "400 Bad Request", &[], &problem("invalid_request_error", why))
                        .await;
                return;
            }
        };
        let close = request.0.wants_close();
        match answer(&mut connection, &shared, &request.0, &request.1).await {
            Some(End::Complete | End::Truncated) if !close => {}
            Some(End::Reset) => return connection.reset(),
            _ => return,
        }
    }
}

async fn read(connection: &mut Connection) -> Result<(Head, Vec<u8>), Broken> {
    let head = connection.head().await?;
    let body = connection.body(&head).await?;
    Ok((head, body))
}

async fn answer(connection: &mut Connection, shared: &Shared, head: &Head, body: &[u8]) -> Option<End> {
    let (path, query) = head.path.split_once('?').unwrap_or((&head.path, ""));
    match (head.method.as_str(), path) {
        ("POST", path) if path.ends_with("/responses") || path.ends_with("/embeddings") => {
            call(connection, shared, head, body).await
        }
        ("GET", path) if path.ends_with("/models") => {
            let list = json!({"object": "list", "data": [
                {"id": "fake-1", "object": "model", "created": 0, "owned_by": "alphagate"},
            ]});
            plain(connection, "200 OK", &[], &list).await
        }
        ("GET", "/image.png") => {
            let bytes = query.strip_prefix("bytes=").and_then(|bytes| bytes.parse().ok());
            bytes_answer(connection, "image/png", &png(bytes.unwrap_or(IMAGE_BYTES))).await
        }
        _ => {
            plain(connection, "404 Not Found", &[], &problem("invalid_request_error", "Unknown route.")).await
        }
    }
}

async fn call(connection: &mut Connection, shared: &Shared, head: &Head, body: &[u8]) -> Option<End> {
    let parsed: Result<Call<'_>, _> = serde_json::from_slice(body);
    let model = parsed.as_ref().map(|call| call.model.as_str()).unwrap_or_default();
    let mut entry = shared.ledger.enter(&Arrival {
        method: &head.method,
        path: &head.path,
        headers: &head.headers,
        body,
        model,
    });
    if head.bearer().is_none() {
        let error = problem("invalid_request_error", "You didn't provide an API key.");
        return finish(entry, plain(connection, "401 Unauthorized", &[], &error).await);
    }
    let answer = parsed.map_err(|error| error.to_string()).and_then(|call| {
        let knobs = shared.knobs_for(&call);
        let embeddings = head.path.ends_with("/embeddings");
        let answer =
            if embeddings { embeddings::answer(body)?.into() } else { call.answer(&knobs, body.len()) };
        Ok((call.stream && !embeddings, knobs, answer))
    });
    let end = match answer {
        Ok((stream, knobs, answer)) => {
            respond(connection, shared, (stream, &answer), &knobs, &mut entry).await
        }
        Err(why) => plain(connection, "400 Bad Request", &[], &problem("invalid_request_error", &why)).await,
    };
    finish(entry, end)
}

/// Enters the end in the ledger. Without one the client hung up, which the entry notices itself.
fn finish(entry: Entry, end: Option<End>) -> Option<End> {
    match end {
        Some(End::Complete) => entry.completed(),
        Some(End::Reset | End::Truncated | End::Cut) => entry.broken(),
        None => {}
    }
    end
}

async fn respond(
    connection: &mut Connection,
    shared: &Shared,
    (stream, answer): (bool, &Answer),
    knobs: &Knobs,
    entry: &mut Entry,
) -> Option<End> {
    let headers = vec![request_id(), ("openai-processing-ms", "1".to_owned())];
    let mut delivery = Delivery { knobs, entry, release: shared.release.subscribe(), headers };
    if Knobs::on(knobs.wait_for_release) {
        delivery.hold(connection).await?;
    }
    if let Some(delay_ms) = knobs.delay_headers_ms {
        connection.unless_gone(sleep(Duration::from_millis(delay_ms))).await?;
    }
    match knobs.refuse {
        Some(Refusal::Close) => return Some(End::Cut),
        Some(Refusal::Reset) => return Some(End::Reset),
        None => {}
    }
    if let Some(location) = &knobs.redirect {
        let location = if location.is_empty() { METADATA_URL } else { location };
        let headers = [("location", location.to_owned())];
        return plain(connection, "307 Temporary Redirect", &headers, &Value::Null).await;
    }
    if let Some(status) = knobs.status {
        return error(connection, status, knobs).await;
    }
    let wire = Wire::new(connection, knobs);
    if stream { delivery.stream(wire, answer).await } else { delivery.whole(wire, answer).await }
}

async fn error(connection: &mut Connection, status: u16, knobs: &Knobs) -> Option<End> {
    let kind = match status {
        401 | 403 => "authentication_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    let retry_after = knobs.retry_after.clone().map(|value| ("retry-after", value));
    let headers: Vec<(&str, String)> = retry_after.into_iter().collect();
    plain(connection, &format!("{status} Fault"), &headers, &problem(kind, "A fault on purpose.")).await
}

async fn plain(
    connection: &mut Connection,
    status: &str,
    headers: &[(&str, String)],
    body: &Value,
) -> Option<End> {
    let mut headers = headers.to_vec();
    headers.extend([request_id(), ("content-type", "application/json".to_owned())]);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    with_length(connection, status, &headers, body.as_bytes()).await
}

async fn bytes_answer(connection: &mut Connection, kind: &str, body: &[u8]) -> Option<End> {
    with_length(connection, "200 OK", &[("content-type", kind.to_owned())], body).await
}

async fn with_length(
    connection: &mut Connection,
    status: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> Option<End> {
    let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    let mut answer = answer.into_bytes();
    answer.extend(body);
    connection.write(&answer).await?;
    Some(End::Complete)
}

fn problem(kind: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
}

fn request_id() -> (&'static str, String) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    ("x-request-id", format!("req_fake_{}", LAST.fetch_add(1, Ordering::Relaxed) + 1))
}
