//! A gate and a publication, with the real evals behind them and a host that answers as the test says.

use crate::{
    bed::{Bed, Org, Reply, text},
    jobs_hosts::{Host, report},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;
use uuid::Uuid;

/// How long a test waits for something that happens at once: the machine may be busy.
const SOON: Duration = Duration::from_secs(60);
/// Items of every run.
const ITEMS: usize = 10;

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
    host: Host,
    /// Samples that were claimed, by the run that they belong to.
    held: Mutex<HashMap<Uuid, Vec<Value>>>,
}

/// What a run measures: passed, failed, errored; ten together. The errors are ours.
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
        let token = bed.runner_token().await;
        let host = Host::register(&bed, &token, json!({"slots": {"sandbox": 0, "sample": 100}})).await;
        let scene = Self { bed, org, keeper, endpoint, eval, host, held: Mutex::default() };
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

    /// Answers the samples of a publication's eval so that its run ends with these counts.
    pub async fn finish(&self, publication: &Value, position: usize, counts: Counts) {
        let found = self.publication(&publication["id"]).await;
        let run = text(&found["evals"][position]["run"]);
        self.hold(&run).await;
        self.answer(&run, counts).await;
    }

    /// Claims all samples of a run.
    pub async fn hold(&self, run: &str) {
        let begun = Instant::now();
        let mut held = self.held.lock().await;
        let mut db = self.bed.database.superuser().await;
        while held.get(&uuid(run)).map_or(0, Vec::len) < ITEMS {
            assert!(begun.elapsed() < SOON, "the samples of {run} do not come: {held:?}");
            for claimed in self.host.claim(0, 100).await {
                let owner = sqlx::query_scalar("SELECT owner_run FROM jobs WHERE id = $1");
                let owner = owner.bind(uuid(&text(&claimed["job"]))).fetch_one(&mut db).await.unwrap();
                held.entry(owner).or_default().push(claimed);
            }
        }
    }

    /// Answers the samples of a run that were claimed; one that comes too late is refused, and that is all.
    pub async fn answer(&self, run: &str, (passed, failed, errored): Counts) {
        let claimed = self.held.lock().await.remove(&uuid(run)).unwrap_or_default();
        assert_eq!(claimed.len() as i64, passed + failed + errored);
        for (number, claimed) in (0..).zip(&claimed) {
            let body = if number < passed {
                said("yes")
            } else if number < passed + failed {
                said("no")
            } else {
                json!({"status": "failed", "error": {"code": "server_error", "message": "down"}})
            };
            let mut report = report(json!({"how": "answered", "status": 200}));
            report["result"] = BASE64_STANDARD.encode(body.to_string()).into();
            assert!([204, 409].contains(&self.host.finish(claimed, report).await.0));
        }
    }

    /// Cancels the run of a publication's eval, as an evaluator may.
    pub async fn cancel_run(&self, publication: &Value) {
        let url = text(&publication["evals"][0]["run_url"]);
        assert_eq!(self.bed.call("POST", &self.org.admin, &url, None).await.0, 200);
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

fn said(answer: &str) -> Value {
    let content = json!([{"type": "output_text", "text": answer}]);
    json!({"status": "completed", "output": [{"type": "message", "role": "assistant", "content": content}]})
}

/// An eval of a gate, over ten items of these data.
pub fn demand(eval: &str, data: &str, thresholds: Value) -> Value {
    let source = json!({"type": "file_content", "content": vec![json!({"item": {"word": data}}); ITEMS]});
    json!({"eval": eval, "data_source": asked(source), "thresholds": thresholds})
}

/// A data source that asks the version about each item.
pub fn asked(source: Value) -> Value {
    let messages = json!({"type": "template", "template": [{"role": "user", "content": "{{item.word}}"}]});
    json!({"type": "completions", "source": source, "input_messages": messages})
}

/// An eval of the org: whoever says yes, passes.
pub async fn eval(bed: &Bed, org: &Org) -> String {
    let schema = json!({"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]});
    let lines = json!({"type": "string_check", "name": "lines", "operation": "eq", "reference": "yes",
        "input": "{{sample.output_text}}"});
    let config = json!({"type": "custom", "item_schema": schema, "include_sample_schema": true});
    let body = json!({"name": "e", "data_source_config": config, "testing_criteria": [lines]});
    text(&bed.make(org, "/v1/evals", body).await["id"])
}

/// The rows that a process leaves which is killed between the end of a run and the decision.
pub async fn passed_behind_our_back(bed: &Bed, run: &str) {
    let mut db = bed.database.superuser().await;
    let mut tx = db.begin().await.unwrap();
    for sql in [
        "UPDATE eval_runs SET status = 'completed', ended_at = now(), started = total, passed = total WHERE id = $1",
        "UPDATE gate_runs SET ended_at = now(), status = 'completed', passed = 10, failed = 0, errored = 0,
            infrastructure = 0, total = 10, failing = '{}', mean_scores = '{}' WHERE run_id = $1",
    ] {
        sqlx::query(sql).bind(uuid(run)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}
