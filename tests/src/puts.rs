//! Pushes in control's place, and what they tell: how many KV puts are still to come.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alphagate_bed::Bed;
use alphagate_contract::{
    record::{Push, Pushed},
    ring::Ring,
    sign::{self, Audience, SIGNATURE_HEADER, Signed},
};
use anyhow::{Context, Result, ensure};

use crate::{Stage, until};

/// How long the puts may take.
const PUTS_MAX: Duration = Duration::from_secs(20);

/// Pushes records to the edge, as control does.
pub async fn push(bed: &Bed, push: &Push) -> Result<Pushed> {
    const PATH: &str = "/internal/v1/records";
    let body = serde_json::to_vec(push)?;
    let signed = Signed { audience: Audience::Edge, method: "POST", path_and_query: PATH, body: &body };
    let ring = Ring::parse(bed.secrets().get("AG_CONTROL_TO_EDGE_RING")?)?;
    let signature = sign::sign(&ring, &signed, now_ms()?);
    let request = alphagate_bed::http_client(None)?.post(format!("{}{PATH}", bed.edge_url()));
    let answer = request.header(SIGNATURE_HEADER, signature).body(body).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status == 200, "{status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

/// Waits until so many KV puts of the stage's org are still to come: an empty push tells.
pub async fn puts_pending(stage: &Stage, wanted: impl Fn(usize) -> bool) -> Result<()> {
    let empty = Push { org: stage.org.id.parse()?, records: Vec::new() };
    let ask = async || Ok(wanted(push(stage.bed, &empty).await?.kv_pending).then_some(()));
    until("KV puts made, or not", PUTS_MAX, ask).await
}

/// Unix time in milliseconds, as control has it.
#[expect(clippy::disallowed_methods, reason = "it signs in control's place")]
pub fn now_ms() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("before 1970")?;
    Ok(u64::try_from(since.as_millis())?)
}
