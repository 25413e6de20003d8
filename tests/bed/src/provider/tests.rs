//! The provider, seen by a client that reads bytes: every knob does what it says, and nothing else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Knobs, Provider};

mod faults;
mod refusals;
mod scripts;
mod speakers;

const SOON: Duration = Duration::from_secs(5);

/// Everything the provider wrote, and whether it ended with RST.
struct Raw {
    head: String,
    body: Vec<u8>,
    reset: bool,
}

impl Raw {
    fn status(&self) -> &str {
        self.head.split_whitespace().nth(1).unwrap_or_default()
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The payloads of an event stream with plain `\n` lines.
    fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).expect("JSON in data")).collect()
    }
}

fn request(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn streaming(knobs: Value) -> Value {
    json!({"model": "m", "stream": true, "input": "rain", "instructions": "be brief", "x_fake": knobs})
}

async fn connect(provider: &Provider) -> TcpStream {
    TcpStream::connect(provider.url().trim_start_matches("http://")).await.expect("connect")
}

/// Reads to the end, and takes HTTP's chunks apart; a body that ends early is returned as far as it came.
async fn exchange(provider: &Provider, request: &[u8]) -> Raw {
    let mut stream = connect(provider).await;
    stream.write_all(request).await.expect("write");
    let mut bytes = Vec::new();
    let reset = timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("an end").is_err();
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let rest = bytes.split_off(split);
    let head = String::from_utf8(bytes).expect("a head");
    let body = if head.contains("transfer-encoding: chunked") { unchunked(&rest).concat() } else { rest };
    Raw { head, body, reset }
}

fn unchunked(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    while let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).expect("a size"), 16);
        let size = size.expect("a size");
        if size == 0 {
            break;
        }
        chunks.push(bytes[line + 2..line + 2 + size].to_vec());
        bytes = &bytes[line + 2 + size + 2..];
    }
    chunks
}

async fn call(provider: &Provider, body: &Value) -> Raw {
    exchange(provider, &request(body)).await
}

#[tokio::test]
async fn a_stream_has_openai_s_events_in_openai_s_order() {
    let provider = Provider::start().await.expect("start");
    let raw = call(&provider, &streaming(json!({"words": 2}))).await;
    let events = raw.events();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], index);
    }
    let named = raw.text().lines().filter(|line| line.starts_with("event: ")).count();
    assert_eq!(named, events.len());
    let last = &events[9]["response"];
    assert_eq!((&last["status"], &last["instructions"]), (&json!("completed"), &json!("be brief")));
    assert_eq!(last["usage"]["output_tokens"], 2);
    assert_eq!(last["output"][0]["content"][0]["text"], events[6]["text"]);
}

#[tokio::test]
async fn a_whole_answer_repeats_what_the_request_set_and_has_every_field() {
    let provider = Provider::start().await.expect("start");
    let body = json!({"model": "m", "input": "rain", "temperature": 0.5, "metadata": {"a": "b"}});
    let response = call(&provider, &body).await.json();
    assert_eq!((&response["temperature"], &response["metadata"]["a"]), (&json!(0.5), &json!("b")));
    for field in ["error", "incomplete_details", "previous_response_id", "user", "completed_at", "tools"] {
        assert!(response.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(call(&provider, &body).await.json()["output"][0]["content"], response["output"][0]["content"]);
}

#[tokio::test]
async fn without_a_bearer_401_and_with_a_bad_body_400() {
    let provider = Provider::start().await.expect("start");
    let bare = b"POST /v1/responses HTTP/1.1\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    assert_eq!(exchange(&provider, bare).await.status(), "401");
    let unknown_knob = call(&provider, &streaming(json!({"wrods": 1}))).await;
    assert_eq!(unknown_knob.status(), "400");
    assert_eq!(unknown_knob.json()["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn every_way_to_write_a_stream_carries_the_same_events() {
    let provider = Provider::start().await.expect("start");
    let payloads = |raw: &Raw| -> Vec<String> {
        let text = raw.text().replace("\r\n", "\n").replace('\r', "\n");
        text.lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect()
    };
    let kinds = |raw: &Raw| -> Vec<Value> {
        payloads(raw)
            .iter()
            .map(|data| serde_json::from_str::<Value>(data).expect("JSON")["type"].clone())
            .collect()
    };
    let text = "déjà vu 🌸 ende";
    let plain = kinds(&call(&provider, &streaming(json!({"text": text}))).await);
    for knobs in [
        json!({"eol": "crlf"}),
        json!({"eol": "cr"}),
        json!({"bom": true}),
        json!({"comments": true}),
        json!({"non_event_lines": true}),
        json!({"drop_event_lines": true}),
        json!({"no_final_blank_line": true}),
        json!({"chunk_bytes": 1}),
        json!({"chunk_bytes": 7, "eol": "crlf"}),
    ] {
        let mut wanted = knobs.clone();
        wanted["text"] = text.into();
        let raw = call(&provider, &streaming(wanted)).await;
        assert_eq!(kinds(&raw), plain, "{knobs}");
        assert_eq!(raw.text().starts_with('\u{feff}'), knobs.get("bom").is_some(), "{knobs}");
    }
    let open = call(&provider, &streaming(json!({"no_final_blank_line": true}))).await.text();
    assert!(open.ends_with("}\n") && !open.ends_with("\n\n"));
    let done = call(&provider, &streaming(json!({"done_marker": true}))).await.text();
    assert!(done.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn a_stream_ends_early_as_the_knob_says() {
    let provider = Provider::start().await.expect("start");
    let reset = call(&provider, &streaming(json!({"reset_after_events": 3}))).await;
    assert!(reset.reset && reset.events().len() == 3);
    let cut = call(&provider, &streaming(json!({"truncate_after_events": 3}))).await;
    assert!(!cut.reset && cut.events().len() == 3);
    let close = call(&provider, &streaming(json!({"refuse": "close"}))).await;
    assert!(!close.reset && close.head.is_empty());
    let refused = call(&provider, &streaming(json!({"refuse": "reset"}))).await;
    assert!(refused.reset && refused.head.is_empty());
    assert_eq!(provider.calls().counts().broken, 4);
}

#[tokio::test]
async fn statuses_redirects_and_compression() {
    let provider = Provider::start().await.expect("start");
    let limited = call(&provider, &streaming(json!({"status": 429, "retry_after": "7"}))).await;
    assert_eq!((limited.status(), limited.head.contains("retry-after: 7")), ("429", true));
    assert_eq!(limited.json()["error"]["type"], "rate_limit_error");
    let moved = call(&provider, &streaming(json!({"redirect": ""}))).await;
    assert!(moved.status() == "307" && moved.head.contains("location: http://169.254.169.254/"));
    let gzip = call(&provider, &streaming(json!({"gzip": true, "words": 1}))).await;
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(gzip.body.as_slice());
    std::io::Read::read_to_string(&mut decoder, &mut text).expect("gzip");
    assert!(gzip.head.contains("content-encoding: gzip") && text.contains("response.completed"));
    let image =
        exchange(&provider, b"GET /image.png?bytes=50000 HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(image.body.starts_with(b"\x89PNG") && (50_000..54_000).contains(&image.body.len()));
}

#[tokio::test]
async fn a_client_that_hangs_up_is_noticed_at_once_in_every_kind_of_silence() {
    let provider = Provider::start().await.expect("start");
    let silences = [
        json!({"delay_headers_ms": 60_000}),
        json!({"silent_after_events": 2}),
        json!({"silent_mid_line": 2}),
        json!({"delay_event_ms": 60_000}),
        json!({"wait_for_release": true}),
        json!({"hold_after_events": 1}),
    ];
    for (index, knobs) in silences.iter().enumerate() {
        let mut stream = connect(&provider).await;
        stream.write_all(&request(&streaming(knobs.clone()))).await.expect("write");
        let running = provider.calls().wait_until(|counts| counts.in_flight == 1, SOON).await;
        running.expect("in flight");
        let left_at = Instant::now();
        drop(stream);
        let aborted = index as u64 + 1;
        let seen = provider.calls().wait_until(|counts| counts.aborted == aborted, SOON).await;
        seen.expect("aborted");
        assert!(left_at.elapsed() < Duration::from_millis(500), "{knobs}");
    }
}

#[tokio::test]
async fn a_thousand_calls_are_held_and_released_together() {
    let provider = Provider::start().await.expect("start");
    provider.set_model("m", Knobs { wait_for_release: Some(true), words: Some(1), ..Knobs::default() });
    let calls = async {
        let body = streaming(json!({}));
        let mut tasks = tokio::task::JoinSet::new();
        let url = provider.url();
        for _ in 0..1_000 {
            let (url, request) = (url.clone(), request(&body));
            tasks.spawn(async move {
                let mut stream =
                    TcpStream::connect(url.trim_start_matches("http://")).await.expect("connect");
                stream.write_all(&request).await.expect("write");
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await.expect("read");
                String::from_utf8_lossy(&bytes).contains("response.completed")
            });
        }
        tasks.join_all().await
    };
    let release = async {
        let wait = Duration::from_secs(30);
        provider.calls_of("m").wait_until(|counts| counts.held == 1_000, wait).await.expect("held");
        provider.release();
    };
    let (answers, ()) = tokio::join!(calls, release);
    assert_eq!(answers.iter().filter(|completed| **completed).count(), 1_000);
    assert_eq!(provider.calls().counts().completed, 1_000);
}

#[tokio::test]
async fn requests_are_read_chunked_and_one_after_another_and_remembered() {
    let provider = Provider::start().await.expect("start");
    let first = "POST /a/responses HTTP/1.1\r\nAuthorization: Bearer k\r\nTransfer-Encoding: chunked\r\n\r\n\
                 6\r\n{\"mode\r\n6\r\nl\":\"x\"\r\n1\r\n}\r\n0\r\n\r\n";
    let mut both = first.as_bytes().to_vec();
    both.extend(request(&json!({"model": "y"})));
    exchange(&provider, &both).await;
    let requests = provider.calls().requests();
    let models: Vec<&str> = requests.iter().map(|seen| seen.model.as_str()).collect();
    assert_eq!(models, ["x", "y"]);
    assert_eq!(requests[0].header("authorization"), Some("Bearer k"));
    assert_eq!((requests[0].json(), requests[0].body_bytes), (Some(json!({"model": "x"})), 13));
    let mut stream = connect(&provider).await;
    stream.write_all(b"POST /a/responses HTTP/1.1\r\ncontent-length: 9\r\n\r\n{").await.expect("write");
    drop(stream);
    let seen = provider.calls().wait_until(|counts| counts.incomplete == 1, SOON).await;
    assert_eq!(seen.expect("incomplete").started, 2);
}
