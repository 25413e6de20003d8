//! A runner's host as control sees one: it registers, claims, writes and reports, by hand.

use crate::bed::{Bed, Org, Reply, read, text};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::Client;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A registered runner.
#[derive(Clone)]
pub struct Host {
    pub id: String,
    pub token: String,
    pub url: String,
    pub http: Client,
}

/// The report of an attempt that ended like this.
pub fn report(ending: Value) -> Value {
    json!({"ending": ending})
}

pub fn passed() -> Value {
    report(json!({"how": "exited", "code": 0}))
}

pub fn failed() -> Value {
    report(json!({"how": "exited", "code": 1}))
}

/// A job that says nothing.
pub fn job() -> Value {
    json!({"language": "bash", "source": "true"})
}

pub fn chunk(stream: &str, data: &[u8]) -> Value {
    json!({"stream": stream, "data": BASE64_STANDARD.encode(data)})
}

impl Host {
    /// A runner of a token of its own.
    pub async fn new(bed: &Bed) -> Self {
        Self::register(bed, &bed.runner_token().await, json!({})).await
    }

    pub async fn register(bed: &Bed, token: &str, changes: Value) -> Self {
        Self::register_at(bed, &bed.control.url, token, changes).await
    }

    pub async fn register_at(bed: &Bed, url: &str, token: &str, changes: Value) -> Self {
        let mut body = json!({"name": "host", "labels": [], "slots": {"sandbox": 8, "sample": 8}, "version": "1",
            "engine": "runsc", "weak": false, "images": ["host", "grader"]});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let request = bed.http.post(format!("{url}/runner/v1/runners")).bearer_auth(token).json(&body);
        let (status, answer) = read(request).await;
        assert_eq!(status, 201, "{answer}");
        let lease_ms = answer["lease_ms"].as_u64().unwrap();
        assert_eq!(answer["renew_ms"], lease_ms / 3);
        Self {
            id: text(&answer["runner"]),
            token: token.to_owned(),
            url: url.to_owned(),
            http: bed.http.clone(),
        }
    }

    pub async fn post(&self, verb: &str, body: &Value) -> Reply {
        let url = format!("{}/runner/v1/runners/{}/{verb}", self.url, self.id);
        read(self.http.post(url).bearer_auth(&self.token).json(body)).await
    }

    /// Claims with so many free slots; the poll may end without jobs.
    pub async fn claim(&self, sandbox: u32, sample: u32) -> Vec<Value> {
        let (status, answer) =
            self.post("claim", &json!({"free": {"sandbox": sandbox, "sample": sample}})).await;
        assert_eq!(status, 200, "{answer}");
        answer["jobs"].as_array().unwrap().clone()
    }

    /// The one job that is there, at the latest after a while.
    pub async fn claim_one(&self) -> Value {
        let begun = Instant::now();
        loop {
            let jobs = self.claim(1, 0).await;
            if let Some(job) = jobs.into_iter().next() {
                return job;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing to claim");
        }
    }

    pub async fn finish(&self, claimed: &Value, report: Value) -> Reply {
        self.post("finish", &json!({"held": held(claimed), "report": report})).await
    }

    pub async fn output(&self, claimed: &Value, first: u64, chunks: &[Value]) -> Reply {
        self.post("output", &json!({"held": held(claimed), "first": first, "chunks": chunks})).await
    }

    /// Renews these; gives what was lost.
    pub async fn renew(&self, claimed: &[&Value]) -> Vec<Value> {
        let held: Vec<Value> = claimed.iter().map(|claimed| held(claimed)).collect();
        let (status, answer) = self.post("renew", &json!({"held": held})).await;
        assert_eq!(status, 200, "{answer}");
        answer["lost"].as_array().unwrap().clone()
    }
}

pub fn held(claimed: &Value) -> Value {
    json!({"job": claimed["job"], "attempt": claimed["attempt"]})
}

impl Bed {
    /// Hands in a job, and gives its id.
    pub async fn job(&self, org: &Org, body: Value) -> String {
        text(&self.make(org, "/v1/jobs", body).await["id"])
    }

    /// The job as it is now.
    pub async fn job_now(&self, org: &Org, id: &str) -> Value {
        let (status, job) = self.get(org, &format!("/v1/jobs/{id}")).await;
        assert_eq!(status, 200, "{job}");
        job
    }

    /// The job once it is in this state.
    pub async fn job_in(&self, org: &Org, id: &str, state: &str) -> Value {
        let begun = Instant::now();
        loop {
            let job = self.job_now(org, id).await;
            if job["state"] == state {
                return job;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "not {state}: {job:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
