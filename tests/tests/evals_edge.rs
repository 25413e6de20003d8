//! What evals need of the edge: keys of runs, versions under test, requests passed on to control, and embeddings.

mod evals_edge {
    pub mod embeddings;
    pub mod pass_on;
    pub mod run_keys;
    pub mod stand_in;
}

use alphagate_contract::{
    id::{OrgId, RunId},
    key::ApiKey,
    ring::Ring,
};
use alphagate_tests::{Caller, Stage, until};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than a record's way from a push to every isolate.
const PATIENCE: Duration = Duration::from_secs(20);

/// The key of a run of the stage's org, derived and told to the edge as control does.
struct RunKey {
    key: ApiKey,
}

impl RunKey {
    /// Opens the key at this epoch, which is its record's place among the others.
    async fn open(stage: &Stage, run: RunId, epoch: u32, only: &[&str]) -> Result<Self> {
        let ring = Ring::parse(stage.bed.secrets().get("AG_KEY_RING")?)?;
        let org: OrgId = stage.org.id.parse()?;
        let key =
            ApiKey::of_run(&ring, ring.current().0.as_str(), org, run, epoch).context("no such entry")?;
        let digest = String::from(key.digest());
        let value = json!({"kind": "key", "org": stage.org.id, "digest": digest, "call": true, "only": only});
        push(stage, run, 2 * u64::from(epoch), value).await?;
        if epoch == 1 {
            // Control, which an edge without a copy asks, does not know of this key.
            let record = format!("v1/key/{}", key.id);
            let there = async || Ok((!stage.bed.kv_record(&record).await?.is_null()).then_some(()));
            until("KV has the key", PATIENCE, there).await?;
        }
        Ok(Self { key })
    }

    /// Closes the key.
    async fn close(stage: &Stage, run: RunId, epoch: u32) -> Result<()> {
        push(stage, run, 2 * u64::from(epoch) + 1, json!({"kind": "gone"})).await
    }

    /// Someone who calls with it and puts `model` into the request.
    fn caller(&self, stage: &Stage, model: &str) -> Caller {
        let mut caller = Caller { name: model.to_owned(), ..stage.caller.clone() };
        caller.key.id = self.key.id.to_string();
        caller.key.secret.clone_from(self.key.text().reveal());
        caller
    }
}

async fn push(stage: &Stage, run: RunId, revision: u64, value: Value) -> Result<()> {
    let key = format!("v1/key/key_{}", run.uuid().simple());
    stage.push(json!({"key": key, "revision": revision, "value": value})).await
}

/// A run's id that no other test uses.
fn new_run() -> RunId {
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    RunId::new(u64::from(std::process::id()), [number; 10])
}
