//! A job's messages as they come: server-sent events and WebSocket, the same, and resumable.

use crate::{
    bed::{Bed, Org, code},
    jobs_hosts::{Host, chunk, job, passed, report},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

/// Longest wait for a message on a loaded machine.
const MESSAGE_MAX: Duration = Duration::from_secs(20);

/// A reader of server-sent events.
struct Events {
    answer: Response,
    text: String,
}

impl Events {
    async fn open(bed: &Bed, org: &Org, job: &str, after: Option<&str>) -> Self {
        let mut request = bed.request(Method::GET, &format!("/v1/jobs/{job}/events")).bearer_auth(&org.admin);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, "text/event-stream")
        );
        Self { answer, text: String::new() }
    }

    /// The next message; none at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let Some(data) = field("data:") else { continue };
                let message: Value = serde_json::from_str(data).unwrap();
                assert_eq!(field("id:"), message["id"].as_str());
                assert_eq!(field("event:"), message["type"].as_str());
                return Some(message);
            }
            let piece = tokio::time::timeout(MESSAGE_MAX, self.answer.chunk()).await.expect("a message");
            self.text.push_str(std::str::from_utf8(&piece.unwrap()?).unwrap());
        }
    }

    async fn rest(mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }
}

fn kinds(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

/// What the messages say was written.
fn written(messages: &[Value], stream: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages.iter().filter(|message| message["stream"] == stream) {
        assert_eq!(message["offset"], bytes.len(), "in order, without gaps");
        bytes.extend(BASE64_STANDARD.decode(message["data"].as_str().unwrap()).unwrap());
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_come_as_they_happen_and_every_one_of_them_is_a_place_to_go_on_from() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let mut events = Events::open(&bed, &org, &id, None).await;
    let mut seen = vec![events.next().await.unwrap()];
    assert_eq!((&seen[0]["type"], &seen[0]["job"]), (&json!("queued"), &json!(id)));
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[]).await;
    seen.push(events.next().await.unwrap());
    assert_eq!((&seen[1]["type"], &seen[1]["attempt"]), (&json!("started"), &json!(1)));
    for (number, (stream, data)) in
        [("stdout", &b"\xff\0"[..]), ("stderr", b"e"), ("stdout", b"b")].iter().enumerate()
    {
        host.output(&claimed, number as u64, &[chunk(stream, data)]).await;
        seen.push(events.next().await.unwrap());
    }
    host.finish(&claimed, passed()).await;
    seen.extend(events.rest().await);
    assert_eq!(kinds(&seen), ["queued", "started", "output", "output", "output", "finished"]);
    assert_eq!((written(&seen, "stdout"), written(&seen, "stderr")), (b"\xff\0b".to_vec(), b"e".to_vec()));
    let end = &seen[5];
    assert_eq!(
        (&end["state"], &end["outcome"], &end["attempts"]),
        (&json!("done"), &json!("passed"), &json!(1))
    );
    // The same afterwards, from the beginning and from every place.
    assert_eq!(Events::open(&bed, &org, &id, None).await.rest().await, seen);
    for (number, message) in seen.iter().enumerate() {
        let after = message["id"].as_str().unwrap();
        let rest = Events::open(&bed, &org, &id, Some(after)).await.rest().await;
        assert_eq!(rest, seen[number + 1..], "after {after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_attempt_starts_its_output_anew_and_large_output_is_told_from_the_object_store() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let mut large = job();
    large["limits"] = json!({"output_bytes": 3_000_000});
    let id = bed.job(&org, large).await;
    let mut events = Events::open(&bed, &org, &id, None).await;
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[chunk("stdout", b"old")]).await;
    let mut seen = vec![];
    while seen.last().is_none_or(|last: &Value| last["type"] != "output") {
        seen.push(events.next().await.unwrap());
    }
    let place = seen.last().unwrap()["id"].as_str().unwrap().to_owned();
    host.finish(&claimed, report(json!({"how": "stopped"}))).await;
    let claimed = host.claim_one().await;
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|n| (n * 7 / 3) as u8).collect();
    for (number, part) in bytes.chunks(250_000).enumerate() {
        assert_eq!(host.output(&claimed, number as u64, &[chunk("stdout", part)]).await.0, 204);
    }
    host.finish(&claimed, passed()).await;
    for rest in [events.rest().await, Events::open(&bed, &org, &id, Some(&place)).await.rest().await] {
        assert_eq!((&rest[0]["type"], &rest[0]["attempt"]), (&json!("started"), &json!(2)));
        assert!(written(&rest, "stdout") == bytes);
        assert_eq!(rest.last().unwrap()["type"], "finished");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_takes_nothing_holds_up_nobody() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let mut large = job();
    large["limits"] = json!({"output_bytes": 20_000_000});
    let id = bed.job(&org, large).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        slow.push(Events::open(&bed, &org, &id, None).await);
    }
    let claimed = host.claim_one().await;
    let part = chunk("stdout", &vec![b'x'; 1024 * 1024]);
    for number in 0..10 {
        assert_eq!(host.output(&claimed, number, std::slice::from_ref(&part)).await.0, 204);
    }
    assert_eq!(host.finish(&claimed, passed()).await.0, 204);
    assert_eq!(bed.job_now(&org, &id).await["state"], "done");
    let rest = slow.pop().unwrap().rest().await;
    assert_eq!(written(&rest, "stdout").len(), 10 * 1024 * 1024, "who takes it late gets all of it");
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(bed: &Bed, org: &Org, path: &str) -> Socket {
    let mut request =
        format!("{}{path}", bed.control.url.replace("http://", "ws://")).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", org.admin).parse().unwrap());
    connect_async(request).await.unwrap().0
}

async fn rest(mut socket: Socket) -> Vec<Value> {
    let mut messages = Vec::new();
    loop {
        match tokio::time::timeout(MESSAGE_MAX, socket.next()).await.expect("a message") {
            Some(Ok(Message::Text(text))) => messages.push(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(Message::Close(_))) | None => return messages,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_websocket_says_the_same_messages() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let mut live = open(&bed, &org, &format!("/v1/jobs/{id}/events")).await;
    // What a client says is not listened to.
    live.send(Message::text("hello")).await.unwrap();
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[chunk("stdout", b"a"), chunk("stderr", b"b")]).await;
    host.finish(&claimed, passed()).await;
    let seen = rest(live).await;
    assert_eq!(kinds(&seen), ["queued", "started", "output", "output", "finished"]);
    assert_eq!(Events::open(&bed, &org, &id, None).await.rest().await, seen);
    let after = seen[2]["id"].as_str().unwrap();
    let resumed = open(&bed, &org, &format!("/v1/jobs/{id}/events?after={after}")).await;
    assert_eq!(rest(resumed).await, seen[3..]);
    let over = open(&bed, &org, &format!("/v1/jobs/{id}/events?after=end")).await;
    assert_eq!(rest(over).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_there_or_not_a_place_is_refused_and_streams_end_with_the_program() {
    let mut bed = Bed::start().await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let id = bed.job(&org, job()).await;
    let path = format!("/v1/jobs/{id}/events");
    assert_eq!(code(&bed.get(&other, &path).await), (404, "not_found"));
    for after in ["x", "1-2", "-1-0-0", "1-2-3-4"] {
        assert_eq!(
            code(&bed.get(&org, &format!("{path}?after={after}")).await),
            (400, "invalid_parameter"),
            "{after}"
        );
    }
    let events = Events::open(&bed, &org, &id, None).await;
    let reading = tokio::spawn(events.rest());
    tokio::time::sleep(Duration::from_millis(200)).await;
    bed.control.stop().await;
    assert_eq!(kinds(&reading.await.unwrap()), ["queued"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_come_even_while_notices_are_not_heard() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let mut events = Events::open(&bed, &org, &id, None).await;
    assert_eq!(events.next().await.unwrap()["type"], "queued");
    let mut db = bed.database.superuser().await;
    // Every listening connection ends, and the new ones begin with a look.
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
        .execute(&mut db)
        .await
        .unwrap();
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[chunk("stdout", b"a")]).await;
    host.finish(&claimed, passed()).await;
    assert_eq!(kinds(&events.rest().await), ["started", "output", "finished"]);
}
