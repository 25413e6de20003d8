//! Every turn is admitted anew, and a caller who leaves ends what is under way.

use std::time::{Duration, Instant};

use alphagate_bed::provider::{Counts, Outcome};
use anyhow::{Context, Result, bail};
use futures_util::SinkExt as _;
use serde_json::json;
use tokio_tungstenite::MaybeTlsStream;

use super::socket::Socket;
use crate::{PROTOCOLS, set, speaking, stage};

/// What the issue promises.
const ABORT_MAX: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_caller_who_leaves_ends_the_providers_call_and_is_settled_once() -> Result<()> {
    for protocol in PROTOCOLS {
        let stage = speaking(protocol, json!({})).await?;
        set(&stage, json!({"words": 1_000, "delay_event_ms": 50}))?;
        for (number, reset) in [false, true].into_iter().enumerate() {
            let mut socket = Socket::open(&stage.caller).await?;
            socket.ask(&stage.caller, json!({})).await?;
            while socket.next().await?.context("closed")?["type"] != "response.output_text.delta" {}
            // What waits is never asked for.
            socket.ask(&stage.caller, json!({})).await?;
            let left_at = Instant::now();
            let mut stream = socket.into_inner();
            if reset {
                let MaybeTlsStream::Plain(tcp) = stream.get_ref() else { bail!("not plain") };
                tcp.set_zero_linger()?;
                drop(stream);
            } else {
                stream.close(None).await?;
                stream.flush().await?;
            }
            let gone = |now: &Counts| now.aborted > number as u64;
            stage.calls().wait_until(gone, PATIENCE).await?;
            let seen = stage.calls().requests().pop().context("no call")?;
            let Outcome::Aborted(at) = seen.outcome else { bail!("the call ended as {:?}", seen.outcome) };
            let took = at.saturating_duration_since(left_at);
            anyhow::ensure!(took <= ABORT_MAX, "{protocol}: the provider's call ended after {took:?}");
        }
        assert_eq!(stage.calls().counts().started, 2, "{protocol}");
        for event in stage.usage(2).await? {
            assert_eq!((&event["outcome"], &event["estimated"]), (&json!("aborted"), &json!(true)));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_revoked_is_refused_at_the_next_turn() -> Result<()> {
    let stage = stage(json!({})).await?;
    let mut socket = Socket::open(&stage.caller).await?;
    socket.completed(&stage.caller, json!({})).await?;
    stage.org.admin.revoke_key(&stage.caller.key.id).await?;
    let calls = stage.calls().counts().started;
    for generate in [true, false] {
        let refused = socket.refused(&stage.caller, json!({"generate": generate})).await?;
        assert_eq!(refused, (401, "invalid_api_key".to_owned()));
    }
    assert_eq!(stage.calls().counts().started, calls);
    Ok(())
}

#[tokio::test]
async fn a_quota_that_is_used_up_refuses_a_turn_and_each_turn_is_counted() -> Result<()> {
    let stage = stage(json!({})).await?;
    let limit = json!({"unit": "requests", "window": "hour", "cap": 2});
    stage.org.admin.put_quotas(&json!([{"subject": {"kind": "org"}, "limit": limit}])).await?;
    let mut socket = Socket::open(&stage.caller).await?;
    for _ in 0..2 {
        socket.completed(&stage.caller, json!({})).await?;
    }
    let frames = socket.tell(&stage.caller, json!({})).await?;
    assert_eq!(super::socket::what(&frames[0]), (429, "quota_exceeded".to_owned()));
    assert_eq!(frames[0]["headers"]["x-should-retry"], "false");
    assert!(frames[0]["headers"]["retry-after"].is_string(), "{frames:?}");
    stage.usage(2).await?;
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_published_serves_the_next_turn() -> Result<()> {
    let stage = stage(json!({})).await?;
    let mut socket = Socket::open(&stage.caller).await?;
    let one = socket.completed(&stage.caller, json!({"store": false})).await?;
    let version = stage.add_version(json!({"instructions": "Speak of rain."})).await?;
    stage.org.admin.publish(&stage.endpoint, version, Some(1)).await?;
    let next = json!({"store": false, "previous_response_id": one["id"], "input": "Go on."});
    socket.completed(&stage.caller, next).await?;
    assert!(crate::last_sent(&stage)?.contains("Speak of rain."));
    Ok(())
}
