//! What the edge passes on to control: whose it is, what of it arrives, and what comes back.

use std::time::Duration;

use alphagate_bed::{Bed, Options, seed::Key};
use alphagate_tests::{Raw, Stage, resident_bytes, until};
use anyhow::{Context, Result};
use futures_util::StreamExt as _;
use reqwest::{Method, RequestBuilder, Response, redirect};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{io::AsyncReadExt, sync::OnceCell};

use crate::{
    PATIENCE, RunKey,
    evals_edge::stand_in::{FILE, StandIn},
    new_run,
};

/// What an upload is cut into.
const CHUNK_BYTES: usize = 64 * 1024;
/// A file of 50 MB, in chunks.
const UPLOAD_CHUNKS: usize = 800;
/// What workerd may take more while such a file goes through: the buffers of a few sockets.
const GROWTH_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Largest body at [`stand_in`], bytes.
const UPLOAD_MAX_BYTES: usize = 8 * 1024 * 1024;

/// One stand-in for all tests here that do not end its bed.
async fn stand_in() -> Result<&'static StandIn> {
    static STAND_IN: OnceCell<StandIn> = OnceCell::const_new();
    let options = Options::default().edge_var("AG_UPLOAD_MAX_BYTES", UPLOAD_MAX_BYTES);
    STAND_IN.get_or_try_init(|| StandIn::start(options)).await
}

/// An org's evaluator.
struct Evaluator {
    org: String,
    key: Key,
    edge_url: String,
    http: reqwest::Client,
}

impl Evaluator {
    async fn new(bed: &Bed) -> Result<Self> {
        Self::with(bed, &["evals"]).await
    }

    async fn with(bed: &Bed, scopes: &[&str]) -> Result<Self> {
        let org = bed.org("Evaluators").await?;
        let key = org.admin.mint_key("evaluator", scopes).await?;
        // A connection of its own for each request: one that lay idle may just have been closed, and an upload cannot be
        // sent twice.
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).pool_max_idle_per_host(0);
        let http = http.build()?;
        Ok(Self { org: org.id, key, edge_url: bed.edge_url(), http })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.edge_url)).bearer_auth(&self.key.secret)
    }

    async fn get(&self, path: &str) -> Result<Response> {
        Ok(self.request(Method::GET, path).send().await?)
    }
}

async fn code(answer: Response) -> Result<(u16, String)> {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await?;
    Ok((status, body["error"]["code"].as_str().unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn method_path_and_the_named_headers_arrive_signed_and_nothing_else_does() -> Result<()> {
    let evaluator = Evaluator::new(stand_in().await?.bed).await?;
    let path = "/v1/evals/eval_1/runs?limit=2&after=%7Eb%20c&x=%2Fd";
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let request = evaluator.request(method.parse()?, path).header("idempotency-key", "k1");
        let request =
            request.header("content-type", "application/json; charset=utf-8").header("x-secret", "s");
        let request = request.header("cookie", "c=1").header("x-forwarded-for", "9.9.9.9");
        let request =
            request.header("x-ag-principal", "org_forged/key_forged").header("x-ag-signature", "v1=0");
        let body = if method == "GET" { "" } else { "{\"é\":1}" };
        let answer = request.body(body).send().await?;
        let shown = answer.headers().clone();
        assert_eq!((answer.status().as_u16(), &shown["etag"]), (418, &"\"e\"".parse()?));
        assert!(!shown.contains_key("x-secret") && !shown.contains_key("set-cookie"));
        assert!(shown["x-request-id"].to_str()?.starts_with("req_"), "the edge's own id");
        let seen: Value = answer.json().await?;
        assert_eq!((&seen["method"], &seen["path"]), (&json!(method), &json!(path)), "{seen}");
        assert_eq!((&seen["body"], &seen["signed"]), (&json!(body), &json!(true)), "{seen}");
        assert_eq!(seen["principal"], format!("{}/{}", evaluator.org, evaluator.key.id));
        let headers = seen["headers"].as_object().context("no headers")?;
        assert_eq!(headers["idempotency-key"], "k1");
        assert_eq!(headers["x-request-id"].as_str(), Some(shown["x-request-id"].to_str()?));
        for name in ["authorization", "cookie", "x-secret", "x-forwarded-for"] {
            assert!(!headers.contains_key(name), "{name} arrived: {seen}");
        }
        assert!(!seen.to_string().contains(&evaluator.key.secret));
    }
    Ok(())
}

#[tokio::test]
async fn dots_in_a_path_lead_nowhere_else() -> Result<()> {
    let evaluator = Evaluator::new(stand_in().await?.bed).await?;
    let line = format!("authorization: Bearer {}\r\n", evaluator.key.secret);
    for path in [
        "/v1/evals/../keys",
        "/v1/evals/%2e%2e/keys",
        "/v1/evals/../../operator/v1/orgs",
        "//v1/evals",
        "/v1/evalsx",
    ] {
        let mut raw = Raw::connect(&evaluator.edge_url).await?;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: edge\r\n{line}\r\n").as_bytes()).await?;
        let answer = raw.answer().await?;
        assert_eq!((answer.status, answer.code().as_str()), (404, "route_not_found"), "{path}");
    }
    let mut raw = Raw::connect(&evaluator.edge_url).await?;
    raw.send(format!("GET /v1/evals/..%2f..%2fkeys HTTP/1.1\r\nhost: edge\r\n{line}\r\n").as_bytes()).await?;
    let answer = raw.answer().await?.json();
    assert_eq!((&answer["path"], &answer["signed"]), (&json!("/v1/evals/..%2f..%2fkeys"), &json!(true)));
    Ok(())
}

/// Bytes that differ from chunk to chunk, and their digest.
fn upload() -> (reqwest::Body, String) {
    let chunk = |number: usize| {
        let mut chunk = vec![b'x'; CHUNK_BYTES];
        chunk[..8].copy_from_slice(&number.to_be_bytes());
        chunk
    };
    let mut digest = Sha256::new();
    (0..UPLOAD_CHUNKS).for_each(|number| digest.update(chunk(number)));
    let chunks = futures_util::stream::iter(0..UPLOAD_CHUNKS).map(move |number| anyhow::Ok(chunk(number)));
    (reqwest::Body::wrap_stream(chunks), hex::encode(digest.finalize()))
}

#[tokio::test]
async fn an_upload_of_50_mb_streams_through_and_takes_no_memory() -> Result<()> {
    // A bed of its own: what is measured is its memory.
    let stand_in = StandIn::start(Options::default()).await?;
    let evaluator = Evaluator::new(stand_in.bed).await?;
    let post = || {
        evaluator.request(Method::POST, "/v1/files").header("content-type", "multipart/form-data; boundary=b")
    };
    assert_eq!(post().body("warm").send().await?.status().as_u16(), 200);
    let before = resident_bytes(stand_in.bed)?;
    let (watch, ended) = tokio::sync::oneshot::channel::<()>();
    let watched = tokio::spawn(most_resident_bytes(stand_in.bed, ended));
    for declared in [true, false] {
        let (body, sha256) = upload();
        let length = UPLOAD_CHUNKS * CHUNK_BYTES;
        let request = if declared { post().header("content-length", length) } else { post() };
        let seen: Value = request.body(body).send().await?.error_for_status()?.json().await?;
        assert_eq!((&seen["bytes"], &seen["sha256"]), (&json!(length), &json!(sha256)));
        assert_eq!(seen["headers"]["content-type"], "multipart/form-data; boundary=b");
        assert_eq!(seen["headers"].get("content-length").is_some(), declared, "the length is known, or not");
    }
    drop(watch);
    let grown = watched.await??.saturating_sub(before);
    println!("{} MB more", grown / 1_000_000);
    assert!(grown < GROWTH_MAX_BYTES, "{grown} bytes more than before");
    Ok(())
}

/// The most that this bed's workerd takes until the other end is dropped.
async fn most_resident_bytes(
    bed: &'static Bed,
    mut ended: tokio::sync::oneshot::Receiver<()>,
) -> Result<u64> {
    let mut most = 0;
    while matches!(ended.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) {
        most = most.max(resident_bytes(bed)?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(most)
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_declared_or_not() -> Result<()> {
    let evaluator = Evaluator::new(stand_in().await?.bed).await?;
    let post = |path: &str| evaluator.request(Method::POST, path);
    let declared = post("/v1/files").header("content-length", UPLOAD_MAX_BYTES + 1);
    let declared =
        declared.body(reqwest::Body::wrap_stream(futures_util::stream::pending::<Result<Vec<u8>>>()));
    assert_eq!(code(declared.send().await?).await?, (413, "body_too_large".to_owned()));
    let mut raw = Raw::connect(&evaluator.edge_url).await?;
    let head = format!(
        "POST /v1/files HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        evaluator.key.secret
    );
    raw.send(head.as_bytes()).await?;
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 0x10_0000], b"\r\n"].concat();
    let mut sent = 0;
    // The answer comes while the body is still on its way: what is sent after it meets a closed end.
    while sent <= 2 * UPLOAD_MAX_BYTES && raw.send(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    let answer = raw.answer().await?;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"), "after {sent} bytes");
    Ok(())
}

#[tokio::test]
async fn downloads_come_with_their_range_and_links_are_the_callers_to_follow() -> Result<()> {
    let evaluator = Evaluator::new(stand_in().await?.bed).await?;
    let whole = evaluator.get("/v1/files/f/content").await?;
    assert_eq!((whole.status().as_u16(), whole.text().await?), (200, FILE.to_owned()));
    let range =
        evaluator.request(Method::GET, "/v1/files/f/content").header("range", "bytes=2-4").send().await?;
    assert_eq!(range.status().as_u16(), 206);
    assert_eq!(range.headers()["content-range"], "bytes 2-4/10");
    assert_eq!(range.headers()["content-type"], "application/jsonl");
    assert_eq!(range.headers()["content-disposition"], "attachment");
    assert_eq!(range.text().await?, &FILE[2..=4]);
    let link = evaluator.get("/v1/files/elsewhere").await?;
    assert_eq!(
        (link.status().as_u16(), &link.headers()["location"]),
        (302, &"https://store.example/f".parse()?)
    );
    Ok(())
}

#[tokio::test]
async fn events_come_one_by_one_and_control_notices_when_the_caller_leaves() -> Result<()> {
    // A bed of its own: one listener at a time.
    let stand_in = StandIn::start(Options::default()).await?;
    let evaluator = Evaluator::new(stand_in.bed).await?;
    let request = evaluator.request(Method::GET, "/v1/jobs/j/events").header("accept", "text/event-stream");
    let answer = request.header("last-event-id", "7").send().await?;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut events = answer.bytes_stream();
    for expected in ["after 7", "started", "finished"] {
        let event = tokio::time::timeout(PATIENCE, events.next()).await?.context("the stream ended")??;
        assert_eq!(String::from_utf8_lossy(&event), format!("data: {expected}\n\n"));
        // The next one is said only when this one has come.
        assert!(
            expected == "finished"
                || stand_in.tell(if expected == "started" { "finished" } else { "started" })
        );
    }
    drop(events);
    until("control notices", PATIENCE, async || Ok((!stand_in.tell("more")).then_some(()))).await
}

#[tokio::test]
async fn a_websocket_is_passed_on_too() -> Result<()> {
    let evaluator = Evaluator::new(stand_in().await?.bed).await?;
    let address = evaluator.edge_url.strip_prefix("http://").context("no http")?;
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    let request = format!(
        "GET /v1/jobs/j/socket HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer {}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        evaluator.key.secret
    );
    tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await?;
    let head = read_until(&mut socket, b"\r\n\r\n").await?;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // A text frame, masked with zeros, as a client's must be.
    tokio::io::AsyncWriteExt::write_all(&mut socket, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await?;
    assert!(read_until(&mut socket, b"again: hi").await?.starts_with('\u{fffd}'));
    Ok(())
}

async fn read_until(socket: &mut tokio::net::TcpStream, wanted: &[u8]) -> Result<String> {
    let mut read = Vec::new();
    while !read.ends_with(wanted) {
        let byte = tokio::time::timeout(PATIENCE, socket.read_u8()).await?;
        read.push(byte.with_context(|| String::from_utf8_lossy(&read).into_owned())?);
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

#[tokio::test]
async fn keys_are_refused_here_before_control_hears_of_them() -> Result<()> {
    let bed = stand_in().await?.bed;
    let evaluator = Evaluator::new(bed).await?;
    let url = format!("{}/v1/evals", evaluator.edge_url);
    assert_eq!(code(evaluator.http.get(&url).send().await?).await?, (401, "key_missing".to_owned()));
    let forged = evaluator.http.get(&url).bearer_auth(format!("{}0", evaluator.key.secret));
    assert_eq!(code(forged.send().await?).await?, (401, "invalid_api_key".to_owned()));
    assert_eq!(evaluator.get("/v1/evals").await?.status().as_u16(), 418);
    let stage = Stage::new(bed, json!({})).await?;
    let of_run = RunKey::open(&stage, new_run(), 1, &[&stage.caller.name]).await?;
    let of_run = of_run.caller(&stage, &stage.caller.name);
    assert_eq!(of_run.ask(json!({})).await?.0, 200);
    let passed = evaluator.http.get(&url).bearer_auth(&of_run.key.secret);
    assert_eq!(code(passed.send().await?).await?, (403, "scope_missing".to_owned()));
    // What is not for control is not passed on, whoever asks.
    let traced = evaluator.request("TRACE".parse()?, "/v1/evals").send().await?;
    assert!([405, 501].contains(&traced.status().as_u16()), "{}", traced.status());
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_even_if_control_would_not() -> Result<()> {
    let bed = stand_in().await?.bed;
    let evaluator = Evaluator::new(bed).await?;
    assert_eq!(evaluator.get("/v1/evals").await?.status().as_u16(), 418);
    // Told to the object only: the isolate's memory is still fresh.
    let admin = bed.org("Revokers").await?;
    let key = admin.admin.mint_key("revoked", &["evals"]).await?;
    let revoked = Evaluator { org: admin.id.clone(), key, ..evaluator };
    assert_eq!(revoked.get("/v1/evals").await?.status().as_u16(), 418);
    admin.admin.revoke_key(&revoked.key.id).await?;
    assert_eq!(code(revoked.get("/v1/evals").await?).await?, (401, "invalid_api_key".to_owned()));
    Ok(())
}

#[tokio::test]
async fn what_is_passed_on_reaches_the_real_control_under_the_same_request_id() -> Result<()> {
    let bed = Bed::shared().await?;
    let evaluator = Evaluator::new(bed).await?;
    let answer = evaluator.get("/v1/evals?limit=1").await?;
    let id = answer.headers()["x-request-id"].to_str()?.to_owned();
    assert!(![401, 403, 503].contains(&answer.status().as_u16()), "{}", answer.status());
    until("control has the request in its log", PATIENCE, async || {
        Ok(bed.log("control").lines().any(|line| line.contains(&id)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn control_away_is_503_in_the_envelope_and_so_is_what_stands_in_front_of_it() -> Result<()> {
    let bed: &'static Bed = Box::leak(Box::new(Bed::start(Options::default()).await?));
    let evaluator = Evaluator::new(bed).await?;
    evaluator.get("/v1/evals").await?;
    bed.stop_control().await;
    for answer in [
        evaluator.get("/v1/evals").await?,
        evaluator.request(Method::POST, "/v1/files").body("a file").send().await?,
    ] {
        assert!(answer.headers().contains_key("retry-after"));
        assert_eq!(answer.headers()["x-should-retry"], "true");
        assert_eq!(code(answer).await?, (503, "control_unavailable".to_owned()));
    }
    bed.start_control().await?;
    assert_ne!(evaluator.get("/v1/evals").await?.status().as_u16(), 503);
    let behind = Evaluator::new(stand_in().await?.bed).await?;
    assert_eq!(code(behind.get("/v1/jobs/broken").await?).await?, (503, "control_unavailable".to_owned()));
    Ok(())
}

#[tokio::test]
async fn controls_refusal_of_a_large_upload_is_read_by_the_caller() -> Result<()> {
    let evaluator = Evaluator::with(Bed::shared().await?, &["call"]).await?;
    for bytes in [1_000, 1_000_000, 20_000_000] {
        for _ in 0..5 {
            let upload = evaluator.request(Method::POST, "/v1/files/no/such/route").body(vec![b'x'; bytes]);
            let answer = code(upload.send().await.with_context(|| format!("{bytes} bytes"))?).await?;
            assert_eq!(answer, (404, "route_not_found".to_owned()), "{bytes} bytes");
        }
    }
    Ok(())
}
