//! Plays the evals of a gate: what a run measures, without a runner.

use crate::bed::{Bed, Org, Reply, text};
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::time::Duration;
use uuid::Uuid;

/// How long a test waits for something that happens at once: the machine may be busy.
const SOON: Duration = Duration::from_secs(30);

pub fn uuid(id: &str) -> Uuid {
    id.split_once('_').unwrap().1.parse().unwrap()
}

/// An endpoint with version 1 live, version 2 made, a gate with one eval, and the keys that a test needs.
pub struct Scene {
    pub bed: Bed,
    pub org: Org,
    pub keeper: String,
    pub endpoint: String,
    pub eval: String,
}

/// What a run measured: passed, failed, errored.
pub type Counts = (i64, i64, i64);

impl Scene {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(changes: &[(&str, &str)]) -> Self {
        let bed = Bed::with(changes).await;
        let org = bed.org("a").await;
        let endpoint = bed.published(&org, "haiku").await;
        bed.version(&org, &endpoint).await;
        let keeper = bed.gatekeeper(&org).await;
        let eval = eval(&bed, &org).await;
        let scene = Self { bed, org, keeper, endpoint, eval };
        scene.demand(&[scene.item(json!({"pass_rate": 1.0}))], 600).await;
        scene
    }

    /// An eval of the gate, over data of its own.
    pub fn item(&self, thresholds: Value) -> Value {
        demand(&self.eval, "haiku", thresholds)
    }

    /// Sets the gate.
    pub async fn demand(&self, evals: &[Value], deadline_s: u32) -> Value {
        let reply = self.put_gate(&self.keeper, json!({"evals": evals, "deadline_s": deadline_s})).await;
        assert_eq!(reply.0, 200, "{}", reply.1);
        reply.1
    }

    pub async fn put_gate(&self, key: &str, body: Value) -> Reply {
        self.bed.call("PUT", key, &format!("/v1/endpoints/{}/gate", self.endpoint), Some(&body)).await
    }

    pub fn path(&self) -> String {
        format!("/v1/endpoints/{}/publications", self.endpoint)
    }

    /// Asks for a publication, and expects it to run.
    pub async fn publish(&self, version: u64, expected_live: Option<u64>) -> Value {
        let body = json!({"version": version, "expected_live": expected_live});
        self.bed.make(&self.org, &self.path(), body).await
    }

    pub async fn publication(&self, id: &Value) -> Value {
        let (status, found) = self.bed.get(&self.org, &format!("{}/{}", self.path(), text(id))).await;
        assert_eq!(status, 200, "{found}");
        found
    }

    /// The publication when it has ended.
    pub async fn ended(&self, publication: &Value) -> Value {
        let path = format!("{}/{}?wait_s=30", self.path(), text(&publication["id"]));
        let (status, found) = self.bed.get(&self.org, &path).await;
        assert_eq!(status, 200, "{found}");
        assert_ne!(found["state"], "running", "{found:#}");
        found
    }

    pub async fn live(&self) -> Option<u64> {
        let endpoint = self.bed.get(&self.org, &format!("/v1/endpoints/{}", self.endpoint)).await.1;
        endpoint["live"].as_u64()
    }

    /// Ends the run of a publication's eval.
    pub async fn finish(&self, publication: &Value, position: usize, counts: Counts) {
        let found = self.publication(&publication["id"]).await;
        finish(&self.bed, &text(&found["evals"][position]["run"]), "completed", counts).await;
    }

    /// How many runs of the gate go on.
    pub async fn open_runs(&self) -> i64 {
        let mut db = self.bed.database.superuser().await;
        sqlx::query_scalar("SELECT count(*) FROM eval_runs WHERE ended_at IS NULL")
            .fetch_one(&mut db)
            .await
            .unwrap()
    }

    /// Waits until no run of the gate goes on.
    pub async fn all_stopped(&self) {
        let stopped = async {
            while self.open_runs().await > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, stopped).await.expect("the runs are stopped");
    }

    /// How many runs there ever were.
    pub async fn runs(&self) -> i64 {
        let mut db = self.bed.database.superuser().await;
        sqlx::query_scalar("SELECT count(*) FROM eval_runs").fetch_one(&mut db).await.unwrap()
    }
}

pub fn demand(eval: &str, data: &str, thresholds: Value) -> Value {
    let source = json!({"type": "file_content", "content": [{"item": {"word": data}}]});
    let messages = json!({"type": "template", "template": [{"role": "user", "content": "{{item.word}}"}]});
    let data_source = json!({"type": "completions", "source": source, "input_messages": messages});
    json!({"eval": eval, "data_source": data_source, "thresholds": thresholds})
}

/// An eval of the org.
pub async fn eval(bed: &Bed, org: &Org) -> String {
    let check = json!({"type": "string_check", "name": "lines", "input": "{{sample.output_text}}",
        "reference": "{{item.word}}", "operation": "eq"});
    let config = json!({"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": true});
    let body = json!({"name": "e", "data_source_config": config, "testing_criteria": [check]});
    text(&bed.make(org, "/v1/evals", body).await["id"])
}

fn rand() -> u128 {
    use std::hash::{BuildHasher as _, RandomState};
    u128::from(RandomState::new().hash_one(1)) << 64 | u128::from(RandomState::new().hash_one(2))
}

/// Ends a run as its feature does: its rows, what the gate copies of them, and a word to the sweep, at once.
pub async fn finish(bed: &Bed, run: &str, status: &str, counts: Counts) {
    let mut db = bed.database.superuser().await;
    let mut tx = db.begin().await.unwrap();
    let (passed, failed, errored) = counts;
    let items: Vec<Uuid> = (0..failed + errored).map(|_| Uuid::from_u128(rand())).collect();
    sqlx::query(
        "WITH run AS (
            UPDATE eval_runs SET status = $2, ended_at = now(), total = $3 + $4 + $5, started = $3 + $4 + $5,
                passed = $3, failed = $4, errored = $5, infrastructure = $5
            WHERE id = $1 AND ended_at IS NULL RETURNING id)
         UPDATE gate_runs SET ended_at = now(), status = $2, passed = $3, failed = $4, errored = $5,
            infrastructure = $5, total = $3 + $4 + $5, failing = $6, mean_scores = '{}'
         WHERE run_id IN (SELECT id FROM run) AND ended_at IS NULL",
    )
    .bind(uuid(run))
    .bind(status)
    .bind(passed)
    .bind(failed)
    .bind(errored)
    .bind(items)
    .execute(&mut *tx)
    .await
    .unwrap();
    sqlx::query("SELECT pg_notify('alphagate_jobs', 'sweep')").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}
