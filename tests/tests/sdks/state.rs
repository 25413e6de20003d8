//! What outlives a request, by the SDKs: kept responses, compactions, conversations on a connection.

use alphagate_tests::Stage;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{cases::TEXT, client::Client};
use crate::{bed, matches};

/// What is done, and what must be seen of it. The error that `kept` ends with is that of a response that was deleted.
fn rows() -> [(&'static str, Value); 3] {
    let completed = json!({"text": TEXT, "status": "completed"});
    let mut kept = completed.clone();
    kept["same"] = json!(true);
    kept["deltas"] = json!(TEXT);
    kept["items"] = json!(["Write a line."]);
    kept["error"] = json!({"class": "NotFoundError", "status": 404, "code": "not_found"});
    let compact = json!({"object": "response.compaction", "items": ["compaction"], "text": TEXT});
    let mut socket = completed;
    socket["continues"] = json!(true);
    socket["code"] = json!("previous_response_not_found");
    [("kept", kept), ("compact", compact), ("socket", socket)]
}

/// Does it all with one SDK, on one kind of target after the other.
pub async fn walk(client: &Client) -> Result<()> {
    let mut program = client.start().await?;
    for protocol in ["responses", "chat", "anthropic", "gemini"] {
        let stage = Stage::speaking(bed().await?, protocol, json!({"retain": {"days": 1}})).await?;
        stage.bed.provider().set_model(&stage.model, serde_json::from_value(json!({"text": TEXT}))?);
        for (how, wanted) in rows() {
            let caller = &stage.caller;
            let ask = json!({"case": how, "how": how, "base_url": format!("{}/v1", caller.edge_url),
                "api_key": caller.key.secret, "model": caller.name, "input": "Write a line.", "extra": {}});
            let seen = program.tell(&ask).await?;
            matches(&seen, &wanted).with_context(|| format!("{protocol}, {how}: {seen:#}"))?;
            ensure!(!wanted["error"].is_null() || seen["error"].is_null(), "{protocol}, {how}: {seen:#}");
        }
    }
    program.end().await
}
