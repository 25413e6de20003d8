//! Every kind of target × every kind of caller × streamed or not: what is asked, what is read, what is billed, what breaks.
//!
//! Invariant: what a caller reads does not depend on what the target speaks, wherever the target can say it.

mod protocols {
    pub mod conversations;
    pub mod ends;
    pub mod read;
    pub mod rules;
    pub mod silence;
}

use alphagate_bed::{Bed, provider::Knobs};
use alphagate_tests::Stage;
use anyhow::{Context, Result};
use protocols::read::{Answer, read};
use serde_json::{Value, json};

/// What targets speak.
const PROTOCOLS: [&str; 4] = ["responses", "chat", "anthropic", "gemini"];
/// What no caller may see.
const HIDDEN: &str = "The password is swordfish.";

/// What a caller speaks, and whether it wants a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Manner {
    chat: bool,
    stream: bool,
}

const MANNERS: [Manner; 4] = [
    Manner { chat: false, stream: false },
    Manner { chat: false, stream: true },
    Manner { chat: true, stream: false },
    Manner { chat: true, stream: true },
];

impl Manner {
    const fn path(self) -> &'static str {
        if self.chat { "/v1/chat/completions" } else { "/v1/responses" }
    }
}

/// A published endpoint whose target speaks `protocol`.
async fn stage(protocol: &'static str) -> Result<Stage> {
    let config = json!({"instructions": HIDDEN, "defaults": {"temperature": 0.25}});
    Stage::speaking(Bed::shared().await?, protocol, config).await
}

/// What the stage's model does from now on.
fn set(stage: &Stage, knobs: Value) -> Result<()> {
    let knobs: Knobs = serde_json::from_value(knobs)?;
    stage.bed.provider().set_model(&stage.model, knobs);
    Ok(())
}

async fn post(stage: &Stage, manner: Manner, mut body: Value) -> Result<reqwest::Response> {
    body["model"] = json!(stage.caller.name);
    if manner.stream {
        body["stream"] = json!(true);
        if manner.chat {
            body["stream_options"] = json!({"include_usage": true});
        }
    }
    stage.caller.post_to(manner.path(), body.to_string().into_bytes()).await
}

/// Asks, and reads the answer, of which nothing may be the publisher's.
async fn ask(stage: &Stage, manner: Manner, body: Value) -> Result<Answer> {
    let response = post(stage, manner, body.clone()).await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    anyhow::ensure!(status == 200, "{} {manner:?}: {status}: {text}\nasked: {body}", stage.protocol);
    for secret in [HIDDEN, &stage.model] {
        assert!(!text.contains(secret), "{} {manner:?} shows {secret}: {text}", stage.protocol);
    }
    let answer = read(manner, &text).with_context(|| format!("{} {manner:?}: {text}", stage.protocol))?;
    assert_eq!(answer.model, stage.caller.name, "{} {manner:?}", stage.protocol);
    Ok(answer)
}
