//! An org with an endpoint, an eval, and a host that plays runner and edge for its runs.

use crate::{
    bed::{Bed, Org, read, text},
    jobs_hosts::{Host, passed, report},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a test waits for a run: the machine may be busy.
const SOON: Duration = Duration::from_secs(240);

pub struct Scene {
    pub bed: Bed,
    pub org: Org,
}

/// A schema of items with a question and an answer.
pub fn config() -> Value {
    json!({"type": "custom", "include_sample_schema": true, "item_schema": {
        "type": "object", "properties": {"q": {"type": "string"}, "a": {"type": "string"}}, "required": ["q", "a"],
    }})
}

pub fn check() -> Value {
    json!({"type": "string_check", "name": "exact", "input": "{{sample.output_text}}", "reference": "{{item.a}}", "operation": "eq"})
}

pub fn python() -> Value {
    json!({"type": "python", "name": "code", "source": "def grade(sample, item):\n    return 1.0\n", "pass_threshold": 0.5})
}

pub fn judge() -> Value {
    json!({"type": "score_model", "name": "judge", "model": "judge", "range": [0, 10],
        "input": [{"role": "user", "content": "Rate: {{sample.output_text}}"}]})
}

/// An item whose right answer is `a`.
pub fn item(number: usize) -> Value {
    json!({"item": {"q": format!("q{number}"), "a": "right"}})
}

/// A data source that asks the endpoint `haiku`.
pub fn completions(source: Value) -> Value {
    json!({"type": "completions", "model": "haiku", "source": source, "sampling_params": {"temperature": 0.5, "seed": 1},
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]}})
}

pub fn content(items: &[Value]) -> Value {
    json!({"type": "file_content", "content": items})
}

/// What the edge answered.
pub fn said(output: &str) -> Value {
    let body = json!({
        "status": "completed", "model": "haiku",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": output}]}],
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    });
    answered(200, &body)
}

pub fn answered(status: u16, body: &Value) -> Value {
    with_result(report(json!({"how": "answered", "status": status, "request_id": "req_x"})), body)
}

/// What a grader's sandbox reported.
pub fn graded(result: &Value) -> Value {
    let mut told = with_result(passed(), result);
    told["isolation"] = json!({"engine": "runsc", "weak": false, "kernel": "gVisor", "image_digest": "abc", "host_limits": true});
    told
}

fn with_result(mut told: Value, result: &Value) -> Value {
    told["result"] = BASE64_STANDARD.encode(result.to_string()).into();
    told
}

/// Whom a claimed job asks; none: it runs code.
pub fn model(claimed: &Value) -> Option<&str> {
    claimed["work"]["spec"]["body"]["model"].as_str()
}

/// An upload as the SDKs send it.
pub fn upload(bed: &Bed, org: &Org, purpose: &str, data: &[u8]) -> RequestBuilder {
    let head = format!(
        "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--b\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"data.jsonl\"\r\n\r\n"
    );
    let body = [head.as_bytes(), data, b"\r\n--b--\r\n"].concat();
    let request = bed.request(Method::POST, "/v1/files").bearer_auth(&org.admin);
    request.header("content-type", "multipart/form-data; boundary=b").body(body)
}

impl Scene {
    pub async fn start() -> Self {
        let bed = Bed::start().await;
        let org = bed.org("a").await;
        for name in ["haiku", "judge"] {
            bed.published(&org, name).await;
        }
        Self { bed, org }
    }

    pub async fn eval(&self, criteria: &[Value]) -> String {
        let body = json!({"name": "e", "data_source_config": config(), "testing_criteria": criteria});
        text(&self.bed.make(&self.org, "/v1/evals", body).await["id"])
    }

    pub async fn run(&self, eval: &str, data_source: Value) -> String {
        let body = json!({"name": "r", "data_source": data_source});
        text(&self.bed.make(&self.org, &format!("/v1/evals/{eval}/runs"), body).await["id"])
    }

    pub async fn upload(&self, data: impl Into<Vec<u8>>) -> (u16, Value) {
        read(upload(&self.bed, &self.org, "evals", &data.into())).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, found) = self.bed.get(&self.org, path).await;
        assert_eq!(status, 200, "{path}: {found}");
        found
    }

    pub async fn now(&self, eval: &str, run: &str) -> Value {
        self.get(&format!("/v1/evals/{eval}/runs/{run}")).await
    }

    /// The run once this holds of it.
    pub async fn until(&self, eval: &str, run: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let found = self.now(eval, run).await;
            if holds(&found) {
                return found;
            }
            assert!(begun.elapsed() < SOON, "{found:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn ended(&self, eval: &str, run: &str) -> Value {
        self.until(eval, run, |run| !["queued", "in_progress"].contains(&run["status"].as_str().unwrap()))
            .await
    }

    pub async fn items(&self, eval: &str, run: &str, query: &str) -> Vec<Value> {
        let page = self.get(&format!("/v1/evals/{eval}/runs/{run}/output_items?limit=100{query}")).await;
        page["data"].as_array().unwrap().clone()
    }

    /// Does every job of a run with `work`, until the run has ended.
    pub async fn play(&self, host: &Host, eval: &str, run: &str, work: impl Fn(&Value) -> Value) -> Value {
        let begun = Instant::now();
        loop {
            let found = self.now(eval, run).await;
            if !["queued", "in_progress"].contains(&found["status"].as_str().unwrap()) {
                return found;
            }
            assert!(begun.elapsed() < SOON, "{found:#}");
            for claimed in host.claim(8, 8).await {
                assert_eq!(host.finish(&claimed, work(&claimed)).await.0, 204);
            }
        }
    }

    /// The next job of this kind.
    pub async fn claim(&self, host: &Host, kind: &str) -> Value {
        let begun = Instant::now();
        let free = if kind == "sample" { (0, 1) } else { (1, 0) };
        loop {
            if let Some(job) = host.claim(free.0, free.1).await.into_iter().next() {
                return job;
            }
            assert!(begun.elapsed() < SOON, "nothing to claim");
        }
    }
}

pub fn counts(run: &Value) -> (i64, i64, i64, i64) {
    let counts = &run["result_counts"];
    let number = |name: &str| counts[name].as_i64().unwrap();
    (number("total"), number("passed"), number("failed"), number("errored"))
}

/// An eval with a run that has ended, and a file: ids for tests that walk over all routes.
pub struct Evals {
    pub eval: String,
    pub run: String,
    pub item: String,
    pub file: String,
}

impl Evals {
    pub async fn new(bed: &Bed, org: &Org) -> Self {
        let body = json!({"data_source_config": config(), "testing_criteria": [check()]});
        let eval = text(&bed.make(org, "/v1/evals", body).await["id"]);
        let line = json!({"item": {"q": "q", "a": "right"}, "sample": {"output_text": "right"}});
        let body = json!({"data_source": {"type": "jsonl", "source": content(&[line])}});
        let run = text(&bed.make(org, &format!("/v1/evals/{eval}/runs"), body).await["id"]);
        let path = format!("/v1/evals/{eval}/runs/{run}/output_items");
        let begun = Instant::now();
        let item = loop {
            let page = bed.get(org, &path).await.1;
            if page["data"][0]["status"] == "pass" {
                break text(&page["data"][0]["id"]);
            }
            assert!(begun.elapsed() < SOON, "{page}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let file = text(&read(upload(bed, org, "evals", b"{\"item\":{}}")).await.1["id"]);
        Self { eval, run, item, file }
    }
}
