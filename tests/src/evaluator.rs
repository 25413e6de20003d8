//! An org that hands in jobs and runs evals, with a key of scope `evals` and nothing more.

use std::time::{Duration, Instant};

use alphagate_bed::{
    Bed,
    seed::{Control, Key, Org},
};
use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};

use crate::wait::until;

/// Longest wait for a job on a machine that runs the whole suite.
const JOB_MAX: Duration = Duration::from_secs(120);

/// Someone who runs untrusted code.
#[derive(Debug, Clone)]
pub struct Evaluator {
    /// The org.
    pub org: Org,
    /// The key.
    pub key: Key,
    /// Control, with that key.
    pub control: Control,
    url: String,
    http: reqwest::Client,
}

impl Evaluator {
    /// A new org with one key.
    pub async fn new(bed: &Bed, name: &str) -> Result<Self> {
        Self::of(bed, bed.org(name).await?).await
    }

    /// A key of this org.
    pub async fn of(bed: &Bed, org: Org) -> Result<Self> {
        let key = org.admin.mint_key("evaluator", &["evals"]).await?;
        let control = bed.control_as(&key.secret)?;
        Ok(Self { org, key, control, url: bed.control_url(), http: alphagate_bed::http_client(None)? })
    }

    /// Hands in a job and answers its id.
    pub async fn submit(&self, job: &Value) -> Result<String> {
        let made: Value = self.control.send(Method::POST, "/v1/jobs", job).await?;
        Ok(made["id"].as_str().context("a job without an id")?.to_owned())
    }

    /// Hands in many jobs at once and answers their ids.
    pub async fn submit_all(&self, jobs: &[Value]) -> Result<Vec<String>> {
        let made: Value = self.control.send(Method::POST, "/v1/jobs", &json!({"jobs": jobs})).await?;
        let made = made["data"].as_array().context("a batch without jobs")?;
        made.iter().map(|job| Ok(job["id"].as_str().context("a job without an id")?.to_owned())).collect()
    }

    /// The job as it is now.
    pub async fn job(&self, id: &str) -> Result<Value> {
        self.control.get(&format!("/v1/jobs/{id}")).await
    }

    /// The job once it is in one of these states.
    pub async fn job_in(&self, id: &str, states: &[&str]) -> Result<Value> {
        let begun = Instant::now();
        let found = until(&format!("{id} in {states:?}"), JOB_MAX, async || {
            // Control may be away for a moment: that is what some tests are about.
            let Ok(job) = self.job(id).await else { return Ok(None) };
            Ok(states.contains(&job["state"].as_str().unwrap_or_default()).then_some(job))
        })
        .await;
        match found {
            Ok(job) => Ok(job),
            Err(error) => bail!("{error} after {:?}: {:#}", begun.elapsed(), self.job(id).await?),
        }
    }

    /// The job once it has ended.
    pub async fn ended(&self, id: &str) -> Result<Value> {
        self.job_in(id, &["done", "dead", "canceled"]).await
    }

    /// Hands in a job and waits for its end.
    pub async fn run(&self, job: &Value) -> Result<Value> {
        let id = self.submit(job).await?;
        self.ended(&id).await
    }

    /// Everything that a job wrote.
    pub async fn output(&self, id: &str, stream: &str) -> Result<Vec<u8>> {
        let url = format!("{}/v1/jobs/{id}/output?stream={stream}", self.url);
        let answer = self.http.get(url).bearer_auth(&self.key.secret).send().await?;
        Ok(answer.error_for_status()?.bytes().await?.to_vec())
    }

    /// Cancels a job.
    pub async fn cancel(&self, id: &str) -> Result<Value> {
        self.control.send(Method::POST, &format!("/v1/jobs/{id}/cancel"), &json!({})).await
    }

    /// The run once it has ended; its eval and itself by their ids.
    pub async fn run_ended(&self, eval: &str, run: &str, longest: Duration) -> Result<Value> {
        let path = format!("/v1/evals/{eval}/runs/{run}");
        until(&format!("the end of {run}"), longest, async || {
            let Ok(run) = self.control.get::<Value>(&path).await else { return Ok(None) };
            let ended =
                ["completed", "failed", "canceled"].contains(&run["status"].as_str().unwrap_or_default());
            Ok(ended.then_some(run))
        })
        .await
    }

    /// Every output item of a run.
    pub async fn output_items(&self, eval: &str, run: &str) -> Result<Vec<Value>> {
        let mut items: Vec<Value> = Vec::new();
        loop {
            let after = items.last().and_then(|item| item["id"].as_str());
            let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
            let page: Value = self
                .control
                .get(&format!("/v1/evals/{eval}/runs/{run}/output_items?limit=100{after}"))
                .await?;
            items.extend(page["data"].as_array().cloned().unwrap_or_default());
            if page["has_more"] != true {
                return Ok(items);
            }
        }
    }
}
