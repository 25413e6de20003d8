//! Policies hold for every message of a connection, and for what the connection remembers.

use anyhow::Result;
use serde_json::json;

use super::socket::Socket;
use crate::{last_sent, set, stage};

#[tokio::test]
async fn every_turn_is_screened_and_what_is_remembered_is_without_what_was_redacted() -> Result<()> {
    let stage = stage(json!({"pii": {"email": "redact", "us_ssn": "refuse"}})).await?;
    let mut socket = Socket::open(&stage.caller).await?;
    let first = socket.completed(&stage.caller, json!({"input": "I am joe@example.com."})).await?;
    assert!(last_sent(&stage)?.contains("I am [EMAIL]."));
    set(&stage, json!({"text": "Write to ann@example.com."}))?;
    let more = json!({"input": "Who am I?", "previous_response_id": first["id"]});
    let second = socket.completed(&stage.caller, more).await?;
    let sent = last_sent(&stage)?;
    assert!(sent.contains("I am [EMAIL].") && sent.contains("Who am I?") && !sent.contains("joe@"), "{sent}");
    // The model's own words go through the same on their way back to it.
    let more = json!({"input": "Thanks.", "previous_response_id": second["id"]});
    socket.completed(&stage.caller, more).await?;
    let sent = last_sent(&stage)?;
    assert!(sent.contains("Write to [EMAIL].") && !sent.contains("ann@"), "{sent}");
    let refused = socket.refused(&stage.caller, json!({"input": "My number is 078-05-1120."})).await?;
    assert_eq!(refused, (400, "content_policy_violation".to_owned()));
    assert_eq!(stage.calls().requests().len(), 3);
    Ok(())
}

#[tokio::test]
async fn answers_that_are_looked_at_first_are_not_to_be_had_on_a_connection() -> Result<()> {
    let moderation = json!({"base_url": "http://127.0.0.1:9/v1", "model": "m", "looks_at": "output",
        "thresholds": {"hate": 0.5}});
    let stage = stage(json!({"moderation": [moderation]})).await?;
    let mut socket = Socket::open(&stage.caller).await?;
    let refused = socket.refused(&stage.caller, json!({})).await?;
    assert_eq!(refused, (400, "unsupported_parameter".to_owned()));
    assert_eq!(stage.calls().requests().len(), 0);
    Ok(())
}
