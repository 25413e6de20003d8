//! Samples: what the edge answers reaches control whole, or is said to be missing.

use super::stand::Stand;
use alphagate_contract::job::{Ending, Report};
use alphagate_runner::sample::ANSWER_MAX_BYTES;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// What nothing here takes.
const WALL_MS: u64 = 60_000;

/// An edge that gives every caller this answer; its URL, and what it was asked.
async fn edge(head: &str, body: Vec<u8>) -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = [format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes(), body].concat();
    let asked = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
            *heard.lock().unwrap() = String::from_utf8_lossy(&request).into_owned();
            // A caller that has enough goes away.
            let _ = stream.write_all(&answer).await;
        }
    });
    (url, asked)
}

async fn asked(edge_url: &str) -> Report {
    let stand = Stand::new().await;
    stand.ask(edge_url, json!({"model": "greeter", "input": "hello"}), WALL_MS);
    let _runner = stand.start();
    stand.until("report", |model| !model.ledger.reports.is_empty()).await;
    let model = stand.control.model.lock().unwrap();
    model.ledger.reports.values().next().unwrap().clone()
}

#[tokio::test]
async fn the_edge_is_asked_as_any_consumer_asks() {
    let (url, heard) = edge("HTTP/1.1 200 OK\r\nx-request-id: req_1", b"{\"id\":\"resp_1\"}".to_vec()).await;
    let report = asked(&url).await;
    let ending = Ending::Answered { status: 200, request_id: Some("req_1".to_owned()), retry_after_ms: None };
    assert_eq!((report.ending, report.result.unwrap().0), (ending, b"{\"id\":\"resp_1\"}".to_vec()));
    let heard = heard.lock().unwrap().clone();
    assert!(heard.starts_with("POST /v1/responses HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("authorization: Bearer ag_test_of_a_run\r\n"), "{heard}");
    assert!(heard.ends_with("{\"input\":\"hello\",\"model\":\"greeter\"}"), "{heard}");
}

#[tokio::test]
async fn a_refusal_is_an_answer_with_its_wait() {
    let (url, _) = edge("HTTP/1.1 429 Too Many Requests\r\nretry-after: 7", b"{}".to_vec()).await;
    let ending = Ending::Answered { status: 429, request_id: None, retry_after_ms: Some(7_000) };
    assert_eq!(asked(&url).await.ending, ending);
}

#[tokio::test]
async fn an_edge_that_is_not_there_has_not_answered() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let Ending::Unanswered { message } = asked(&format!("http://{free}")).await.ending else { panic!() };
    assert!(message.contains("refused"), "{message}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_none() {
    let (url, _) = edge("HTTP/1.1 200 OK", vec![b' '; ANSWER_MAX_BYTES + 1]).await;
    let report = asked(&url).await;
    assert!(matches!(report.ending, Ending::Unanswered { message } if message.contains("longer")));
    assert_eq!(report.result, None);
}

#[tokio::test]
async fn the_longest_answer_fits_into_a_report() {
    let (url, _) = edge("HTTP/1.1 200 OK", vec![b' '; ANSWER_MAX_BYTES]).await;
    assert_eq!(asked(&url).await.result.unwrap().0.len(), ANSWER_MAX_BYTES);
}
