//! Our own stack, whole, with an org, a key, quotas and endpoints that lead to the benchmark's provider.
//!
//! Invariant: everything that a real org has is on: instructions, defaults, a sealed credential, and quotas in three
//! units; their caps are so high that none refuses.

use super::subject::{Door, authority};
use alphagate_bed::{
    Bed, Options,
    seed::{Key, Org},
};
use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;

const CAP: u64 = 1_000_000_000_000;

/// The stack.
#[derive(Debug)]
pub struct Stack {
    bed: Bed,
    org: Org,
    key: Key,
    credential: String,
    provider: SocketAddr,
}

impl Stack {
    pub async fn start(provider: SocketAddr) -> Result<Self> {
        let bed = Bed::start(Options { durable: false, ..Options::default() }).await?;
        let org = bed.org("Bench").await?;
        let origin = format!("http://{provider}");
        let credential = org.admin.create_credential("provider", &origin, "sk-provider").await?;
        org.admin.put_quotas(&quotas()).await?;
        let key = org.admin.mint_key("bench", &["call"]).await?;
        Ok(Self { bed, org, key, credential, provider })
    }

    pub async fn edge_pid(&self) -> Result<i32> {
        self.bed.edge_pid().await
    }

    /// The org's own endpoint.
    pub async fn strict(&self) -> Result<Door> {
        self.endpoint("strict", &json!({})).await?.context("a plain version was refused")
    }

    /// The same; none if this version knows no leased quotas.
    pub async fn leased(&self) -> Result<Option<Door>> {
        self.endpoint("leased", &json!({"quota_mode": "leased"})).await
    }

    /// Over a provider that speaks chat completions; none if this version cannot.
    pub async fn strict_chat(&self) -> Result<Option<Door>> {
        self.endpoint("strict-chat", &json!({"targets": [self.chat_target()]})).await
    }

    /// Both.
    pub async fn leased_chat(&self) -> Result<Option<Door>> {
        let more = json!({"targets": [self.chat_target()], "quota_mode": "leased"});
        self.endpoint("leased-chat", &more).await
    }

    /// What another org has published, by a key of its own org.
    pub async fn installed(&self) -> Result<Door> {
        let publisher = self.bed.org("Publisher").await?;
        let origin = format!("http://{}", self.provider);
        let credential = publisher.admin.create_credential("provider", &origin, "sk-provider").await?;
        let installs = json!({"payer": "publisher", "limits": [limit("requests")]});
        let body = json!({"name": "installed", "visibility": "public", "installs": installs});
        let endpoint = publisher.admin.create_endpoint(&body).await?;
        let config = self.config(&credential, &json!({}));
        let version = publisher.admin.create_version(&endpoint, &config).await?;
        publisher.admin.publish(&endpoint, version, None).await?;
        self.org.admin.install(&endpoint, "installed", None).await?;
        Ok(self.door("installed"))
    }

    /// Makes and publishes an endpoint; none if control refuses the version's configuration.
    async fn endpoint(&self, name: &str, more: &Value) -> Result<Option<Door>> {
        let admin = &self.org.admin;
        let endpoint = admin.create_endpoint(&json!({"name": name, "visibility": "private"})).await?;
        let config = self.config(&self.credential, more);
        let path = format!("/v1/endpoints/{endpoint}/versions");
        let reply = admin.call(Method::POST, &path, Some(&config)).await?;
        if reply.status.as_u16() == 400 || reply.status.as_u16() == 422 {
            return Ok(None);
        }
        ensure!(reply.status.is_success(), "{}: {}", reply.status, reply.body);
        admin.publish(&endpoint, 1, None).await?;
        Ok(Some(self.door(name)))
    }

    fn config(&self, credential: &str, more: &Value) -> Value {
        let mut config = json!({
            "targets": [self.target(credential)],
            "instructions": "Answer with one haiku.",
            "defaults": {"temperature": 0.2},
            "max_output_tokens": 20_000,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        config
    }

    fn target(&self, credential: &str) -> Value {
        let price = json!({"input_micros_per_mtok": 2_500_000, "output_micros_per_mtok": 10_000_000});
        json!({
            "base_url": format!("http://{}/v1", self.provider), "model": "fake-1", "credential": credential,
            "price": price,
        })
    }

    fn chat_target(&self) -> Value {
        let mut target = self.target(&self.credential);
        target["protocol"] = "chat".into();
        target
    }

    fn door(&self, name: &str) -> Door {
        Door {
            authority: authority(&self.bed.edge_url()).to_owned(),
            key: self.key.secret.clone(),
            model: name.to_owned(),
            headers: vec![],
        }
    }

    pub async fn stop(self) {
        self.bed.stop().await;
    }
}

fn limit(unit: &str) -> Value {
    json!({"unit": unit, "window": "minute", "cap": CAP})
}

fn quotas() -> Value {
    let of_org = |limit: Value| json!({"subject": {"kind": "org"}, "limit": limit});
    // No cap on concurrency: where there is one, no requests are leased.
    json!([of_org(limit("requests")), of_org(limit("total_tokens")), of_org(limit("cost_micros"))])
}
