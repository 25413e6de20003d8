//! Responses over WebSocket, on every kind of target: `GET /v1/responses` with `Upgrade: websocket`.
//!
//! Invariant: what holds for a request over HTTP holds for every message of a connection.

mod websocket {
    pub mod evicted;
    pub mod gone;
    pub mod limits;
    pub mod policies;
    pub mod socket;
    pub mod turns;
}

use alphagate_bed::{Bed, provider::Knobs};
use alphagate_tests::Stage;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// What targets speak.
const PROTOCOLS: [&str; 4] = ["responses", "chat", "anthropic", "gemini"];
/// What no caller may see.
const HIDDEN: &str = "The password is swordfish.";
/// What every model says unless it is told otherwise.
const ANSWER: &str = "A line, then.";

/// A published endpoint whose target speaks `protocol`.
async fn speaking(protocol: &'static str, mut config: Value) -> Result<Stage> {
    config["instructions"] = json!(HIDDEN);
    let stage = Stage::speaking(Bed::shared().await?, protocol, config).await?;
    set(&stage, json!({"text": ANSWER}))?;
    Ok(stage)
}

/// One whose target speaks Responses.
async fn stage(config: Value) -> Result<Stage> {
    speaking("responses", config).await
}

/// What the stage's model does from now on.
fn set(stage: &Stage, knobs: Value) -> Result<()> {
    let knobs: Knobs = serde_json::from_value(knobs)?;
    stage.bed.provider().set_model(&stage.model, knobs);
    Ok(())
}

/// The last body that the provider was sent.
fn last_sent(stage: &Stage) -> Result<String> {
    let last = stage.calls().requests().pop().context("no call")?;
    Ok(String::from_utf8(last.body)?)
}
