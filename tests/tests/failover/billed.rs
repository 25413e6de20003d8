//! An attempt that failed and says what it used: billed for it, under an id of its own.

use std::sync::Arc;

use alphagate_tests::{Stage, until};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Heard, bed};

/// A provider that takes its money and fails: the fake one reports no use of what it fails.
struct Costly {
    base_url: String,
    serving: JoinHandle<()>,
}

impl Costly {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let answer = Arc::new(answer());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    let _ = serve(stream, &answer).await;
                });
            }
        });
        Ok(Self { base_url, serving })
    }
}

impl Drop for Costly {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A stream that fails after 200 input tokens, before any content.
fn answer() -> String {
    let usage = json!({"input_tokens": 200, "output_tokens": 0, "total_tokens": 200});
    let error = json!({"code": "server_error", "message": "No."});
    let created =
        json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "model": "m"}});
    let failed = json!({"type": "response.failed", "sequence_number": 1,
        "response": {"id": "resp_1", "model": "m", "status": "failed", "error": error, "usage": usage}});
    let events =
        format!("event: response.created\ndata: {created}\n\nevent: response.failed\ndata: {failed}\n\n");
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")
}

async fn serve(mut stream: TcpStream, answer: &str) -> Result<()> {
    let mut read = Vec::new();
    // The edge sends small bodies in one piece, and their end is the object's.
    while !read.ends_with(b"}") {
        anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "the edge hung up");
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

/// An endpoint whose first target fails at a price.
async fn stage(costly: &Costly) -> Result<Stage> {
    let bed = bed().await?;
    let stage = Stage::new(bed, json!({})).await?;
    let price = json!({"input_micros_per_mtok": 1_000_000, "output_micros_per_mtok": 1_000_000});
    let first = json!({"base_url": costly.base_url, "model": "m", "price": price});
    let second = json!({
        "base_url": bed.provider().base_url(), "model": stage.model, "credential": stage.credential, "order": 1,
    });
    let number = stage.add_version(json!({"targets": [first, second]})).await?;
    stage.org.admin.publish(&stage.endpoint, number, Some(1)).await?;
    Ok(stage)
}

async fn ask(stage: &Stage) -> Result<Heard> {
    Heard::of(stage.caller.post(json!({"stream": true, "x_fake": {"text": "from B"}})).await?).await
}

#[tokio::test]
async fn an_attempt_that_used_tokens_is_billed_for_them_and_the_answer_for_its_own() -> Result<()> {
    let costly = Costly::start().await?;
    let stage = stage(&costly).await?;
    let heard = ask(&stage).await?;
    heard.assert_from('B', "after a failure that was paid");
    let events = stage.usage(2).await?;
    let of = |target: u64| events.iter().find(|event| event["target"] == target).context("no event");
    let (failed, served) = (of(0)?, of(1)?);
    assert_eq!((&failed["outcome"], &failed["estimated"]), (&json!("failed"), &json!(false)), "{failed}");
    assert_eq!((&failed["input_tokens"], &failed["cost_micros"]), (&json!(200), &json!(200)));
    assert_eq!(failed["requests"], 0, "it is the same request");
    assert_eq!(served["id"], heard.id.as_str(), "the request's id is that of what served");
    assert_eq!((&served["attempt"], &served["passed_over"]), (&json!(2), &json!(["0=failed"])));
    assert_eq!((&served["requests"], &served["outcome"]), (&json!(1), &json!("completed")));
    Ok(())
}

#[tokio::test]
async fn where_the_quota_has_no_room_for_what_was_used_nobody_else_is_asked() -> Result<()> {
    let costly = Costly::start().await?;
    let stage = stage(&costly).await?;
    let quota = json!([{"subject": {"kind": "org"}, "limit": {"concurrency": 1}}]);
    stage.org.admin.put_quotas(&quota).await?;
    let heard = ask(&stage).await?;
    assert_eq!((heard.status, heard.attempts.as_deref()), (502, Some("1; 0=failed")), "{heard:?}");
    assert_eq!(stage.calls().counts().started, 0);
    let events = until("its event", std::time::Duration::from_secs(30), async || {
        let events: Vec<Value> = stage.org.admin.usage().await?;
        Ok((!events.is_empty()).then_some(events))
    });
    let events = events.await?;
    assert_eq!((&events[0]["id"], &events[0]["input_tokens"]), (&json!(heard.id), &json!(200)), "{events:?}");
    Ok(())
}
