//! The same SDKs on every kind of target, by Responses and by chat completions.
//!
//! Translated requests carry no knobs of the provider: they are its model's, set before each case. Invariant: what the SDK's
//! user sees is what the table says, whatever the target speaks.

use std::time::Duration;

use alphagate_bed::provider::{Counts, Knobs, Outcome};
use alphagate_tests::Stage;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    cases::{Case, cases},
    client::{Client, Running},
};
use crate::{bed, matches};

/// What targets speak, and what callers call; Responses on Responses is the full table.
const KINDS: [(&str, bool); 7] = [
    ("chat", false),
    ("anthropic", false),
    ("gemini", false),
    ("responses", true),
    ("chat", true),
    ("anthropic", true),
    ("gemini", true),
];
/// Rows of the table that say something of the way there and back. Retries are the same for all; of the others one of each sort.
const ROWS: [&str; 14] = [
    "create",
    "raw stream",
    "stream helper",
    "raw stream, 1 byte a chunk, CRLF",
    "raw stream after comments",
    "401",
    "400",
    "400 in a stream",
    "400 of the provider",
    "timeout of a stream",
    "left in the middle of a stream",
    "reset",
    "ends early, helper",
    "fails late",
];
/// Words of an answer that is to break off: no fault may come after its end.
const WORDS: u32 = 40;
/// From the client's leaving to the end of the call at the provider.
const ABORT_MAX: Duration = Duration::from_secs(5);

/// Walks the rows on all kinds.
pub async fn walk(client: &Client) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (protocol, chat) in KINDS {
        let config = json!({"instructions": "Answer with one line."});
        let stage = Stage::speaking(bed().await?, protocol, config).await?;
        let mut program = client.start().await?;
        for case in cases(&stage.caller.name).iter().filter(|case| ROWS.contains(&case.name)) {
            let done = play(&stage, chat, case, client, &mut program).await;
            if let Err(error) = done {
                wrong.push(format!("{protocol}, chat: {chat}, {}: {error:#}", case.name));
            }
        }
        program.end().await?;
    }
    Ok(wrong)
}

async fn play(stage: &Stage, chat: bool, case: &Case, client: &Client, program: &mut Running) -> Result<()> {
    set_model(stage, &case.fake)?;
    let before = stage.calls().counts();
    let seen = program.tell(&ask(stage, chat, case)).await?;
    for (field, wanted) in case.wanted.as_object().into_iter().flatten() {
        matches(&seen[field], &client.in_its_words(wanted))
            .with_context(|| format!("{field} in {seen:#}"))?;
    }
    ensure!(!case.wanted["error"].is_null() || seen["error"].is_null(), "{seen:#}");
    let started = stage.calls().counts().started - before.started;
    ensure!(case.calls.is_none_or(|calls| calls as u64 == started), "{started} calls: {seen:#}");
    if case.aborted {
        let gone = |now: &Counts| now.aborted > before.aborted;
        stage.calls().wait_until(gone, ABORT_MAX).await?;
        let last = stage.calls().requests().pop().context("no call")?;
        ensure!(matches!(last.outcome, Outcome::Aborted(_)), "{:?}", last.outcome);
    }
    Ok(())
}

fn set_model(stage: &Stage, fake: &Value) -> Result<()> {
    let mut knobs: Knobs = serde_json::from_value(fake.clone())?;
    if knobs.text.is_none() {
        knobs.words.get_or_insert(WORDS);
    }
    stage.bed.provider().set_model(&stage.model, knobs);
    Ok(())
}

fn ask(stage: &Stage, chat: bool, case: &Case) -> Value {
    let caller = &stage.caller;
    let how = if chat { format!("chat_{}", case.how) } else { case.how.to_owned() };
    let mut ask = json!({"case": case.name, "how": how, "base_url": format!("{}/v1", caller.edge_url), "api_key": caller.key.secret,
        "model": caller.name, "input": "Write a line.", "extra": case.extra});
    for (name, value) in case.options.as_object().into_iter().flatten() {
        // A chunk of chat says more than an event of Responses: fewer of them come before the silence.
        ask[name] = if chat && name == "leave_after" { json!(2) } else { value.clone() };
    }
    ask
}
