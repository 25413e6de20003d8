//! Those who ask, and what they know: the orgs with the most of everything, and ids of what is theirs.

use alphagate_bed::{
    Bed,
    seed::{Control, Org},
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Orgs that ask; the largest ones.
const ASKING: usize = 12;

/// One who asks.
#[derive(Debug)]
pub struct Asking {
    /// The secret of an admin's key.
    pub token: String,
    pub job: String,
    pub endpoint: String,
    pub key: String,
    /// The query for the second page of its jobs, and of its usage; for the first, where there is no second.
    pub jobs_next: String,
    pub usage_next: String,
}

/// What requests are made of.
#[derive(Debug)]
pub struct Scene {
    pub url: String,
    pub asking: Vec<Asking>,
}

/// Makes the orgs that ask, with a job each: the shape of everything else.
pub async fn orgs(bed: &Bed) -> Result<Vec<Org>> {
    let mut orgs = Vec::new();
    for number in 0..ASKING {
        orgs.push(bed.org(&format!("Bench {number}")).await?);
    }
    Ok(orgs)
}

impl Scene {
    /// Looks at what there is.
    pub async fn look(bed: &Bed, orgs: Vec<Org>) -> Result<Self> {
        let mut asking = Vec::new();
        for org in orgs {
            asking.push(Asking::look(&org).await.with_context(|| org.id.clone())?);
        }
        Ok(Self { url: bed.control_url(), asking })
    }
}

impl Asking {
    async fn look(org: &Org) -> Result<Self> {
        let jobs = list(&org.admin, "/v1/jobs").await?;
        let usage = list(&org.admin, "/v1/usage").await?;
        let endpoints = list(&org.admin, "/v1/endpoints").await?;
        let keys = list(&org.admin, "/v1/keys").await?;
        Ok(Self {
            token: org.admin_key.clone(),
            job: first(&jobs)?,
            endpoint: first(&endpoints)?,
            key: first(&keys)?,
            jobs_next: next(&jobs),
            usage_next: next(&usage),
        })
    }
}

async fn list(admin: &Control, path: &str) -> Result<Value> {
    admin.get(path).await
}

fn first(page: &Value) -> Result<String> {
    text(&page["data"][0]["id"]).context("the list is empty")
}

fn next(page: &Value) -> String {
    page["next_cursor"].as_str().map(|cursor| format!("?cursor={cursor}")).unwrap_or_default()
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("no text")?.to_owned())
}

/// The configuration of a new version.
pub fn version() -> Value {
    json!({"targets": [{"base_url": "http://127.0.0.1:9/v1", "model": "m"}], "instructions": "Write a haiku."})
}
