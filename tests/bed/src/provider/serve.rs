//! Routes of the provider, and the life of a connection.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Shared;
use super::answer::Answer;
use super::ask::{Ask, with_manners};
use super::connection::{Broken, Connection, Head};
use super::deliver::{Delivery, End, status_line};
use super::fault::Fault;
use super::knobs::{Knobs, Refusal};
use super::ledger::{Arrival, Entry};
use super::png;
use super::protocol::Protocol;
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
                let _ = refuse(&mut connection, Protocol::Responses, &Fault::invalid(why)).await;
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
    let route = head.route();
    match (head.method.as_str(), Protocol::of(route)) {
        ("POST", Some(protocol)) => return call(connection, shared, protocol, head, body).await,
        ("GET", _) if route.ends_with("/models") => {
            let protocol = Protocol::of_caller(head);
            return match protocol.admit(head) {
                Ok(()) => plain(connection, "200 OK", protocol.headers(), &protocol.models()).await,
                Err(fault) => refuse(connection, protocol, &fault).await,
            };
        }
        ("GET", _) if route == "/image.png" => {
            let bytes = head.query().strip_prefix("bytes=").and_then(|bytes| bytes.parse().ok());
            return bytes_answer(connection, "image/png", &png(bytes.unwrap_or(IMAGE_BYTES))).await;
        }
        _ => {}
    }
    refuse(connection, Protocol::of_caller(head), &Fault::of(404, "Unknown route.")).await
}

async fn call(
    connection: &mut Connection,
    shared: &Shared,
    protocol: Protocol,
    head: &Head,
    body: &[u8],
) -> Option<End> {
    let ask = Ask::read(protocol, head, body);
    let model = ask.as_ref().map(|ask| ask.model.as_str()).unwrap_or_default();
    let mut entry = shared.ledger.enter(&Arrival {
        method: &head.method,
        path: &head.path,
        headers: &head.headers,
        body,
        model,
    });
    let answer = protocol.admit(head).and(ask).and_then(|ask| {
        let knobs = shared.knobs_for(&ask);
        let answer = ask.answer(head, &knobs, body.len())?;
        Ok((ask.stream, with_manners(knobs, answer.eol), answer))
    });
    let end = match answer {
        Ok((stream, knobs, answer)) => {
            respond(connection, shared, protocol, (stream, &answer), &knobs, &mut entry).await
        }
        Err(fault) => refuse(connection, protocol, &fault).await,
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
    protocol: Protocol,
    (stream, answer): (bool, &Answer),
    knobs: &Knobs,
    entry: &mut Entry,
) -> Option<End> {
    let headers = protocol.headers();
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
        let mut headers = protocol.headers();
        headers.push(("location", location.to_owned()));
        return plain(connection, "307 Temporary Redirect", headers, &Value::Null).await;
    }
    if let Some(status) = knobs.status {
        return error(connection, protocol, status, knobs).await;
    }
    let wire = Wire::new(connection, knobs);
    if stream { delivery.stream(wire, answer).await } else { delivery.whole(wire, answer).await }
}

async fn error(connection: &mut Connection, protocol: Protocol, status: u16, knobs: &Knobs) -> Option<End> {
    let mut headers = protocol.headers();
    headers.extend(knobs.retry_after.clone().map(|value| ("retry-after", value)));
    problem(connection, protocol, headers, &Fault::of(status, "A fault on purpose.")).await
}

async fn refuse(connection: &mut Connection, protocol: Protocol, fault: &Fault) -> Option<End> {
    problem(connection, protocol, protocol.headers(), fault).await
}

async fn problem(
    connection: &mut Connection,
    protocol: Protocol,
    headers: Vec<(&str, String)>,
    fault: &Fault,
) -> Option<End> {
    let request_id = headers.first().map(|(_, id)| id.as_str()).unwrap_or_default();
    let body = protocol.problem(fault, request_id);
    plain(connection, &status_line(fault.status), headers, &body).await
}

async fn plain(
    connection: &mut Connection,
    status: &str,
    mut headers: Vec<(&str, String)>,
    body: &Value,
) -> Option<End> {
    headers.push(("content-type", "application/json".to_owned()));
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
