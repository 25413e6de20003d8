//! The demo of `cargo xtask up`: one org publishes `haiku`, another installs it as `poet` and calls it.
//!
//! Invariant: on the same data and the same provider it is made once; later starts get the same keys.

use std::fs;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::seed::Control;
use crate::{Bed, places};

const FILE: &str = "demo.json";
/// The provider takes any bearer; this one shows in its log that it came from the demo.
const PROVIDER_SECRET: &str = "sk-demo";
/// The name that the installing org calls.
const NAME: &str = "poet";

/// What a person needs to call the demo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Demo {
    /// The publisher's key, scope `admin`.
    pub publisher_admin_key: String,
    /// The installing org's key, scope `admin`.
    pub admin_key: String,
    /// The installing org's key, scope `call`.
    pub api_key: String,
    /// What to put into `model`.
    pub endpoint: String,
    /// The provider it was made for.
    provider: String,
}

impl Bed {
    /// Makes the demo, or finds the one that an earlier start made in the same folder.
    pub async fn demo(&self) -> Result<Demo> {
        let file = self.data_dir().join(FILE);
        if let Ok(text) = fs::read_to_string(&file) {
            let demo: Demo = serde_json::from_str(&text)?;
            if demo.provider == self.provider().base_url() && self.knows(&demo).await? {
                return Ok(demo);
            }
        }
        let demo = self.make_demo().await?;
        places::write_secret(&file, &serde_json::to_string_pretty(&demo)?)?;
        Ok(demo)
    }

    /// Calls the demo once, as a consumer does.
    pub async fn demo_answers(&self, demo: &Demo) -> Result<()> {
        let call = json!({"model": demo.endpoint, "input": "Is anybody there?"});
        let edge = Control::new(&self.edge_url(), &demo.api_key)?;
        let _answer: Value = edge.send(reqwest::Method::POST, "/v1/responses", &call).await?;
        Ok(())
    }

    /// The database may be another than the one the demo was made in.
    async fn knows(&self, demo: &Demo) -> Result<bool> {
        let admin = self.control_as(&demo.admin_key)?;
        let reply = admin.call(reqwest::Method::GET, "/v1/keys", None).await?;
        Ok(reply.status.is_success())
    }

    async fn make_demo(&self) -> Result<Demo> {
        let alpha = self.org("Alpha").await?;
        let origin = self.provider().url();
        let credential = alpha.admin.create_credential("demo", &origin, PROVIDER_SECRET).await?;
        let endpoint = alpha.admin.create_endpoint(&endpoint()).await?;
        let config = json!({
            "targets": [{"base_url": self.provider().base_url(), "model": "fake-1", "credential": credential}],
            "instructions": "Answer with one haiku.",
            "defaults": {"temperature": 0.2},
        });
        let version = alpha.admin.create_version(&endpoint, &config).await?;
        alpha.admin.publish(&endpoint, version, None).await?;
        let beta = self.org("Beta").await?;
        beta.admin.install(&endpoint, NAME, None).await?;
        let key = beta.admin.mint_key("demo", &["call"]).await?;
        Ok(Demo {
            publisher_admin_key: alpha.admin_key,
            admin_key: beta.admin_key,
            api_key: key.secret,
            endpoint: NAME.to_owned(),
            provider: self.provider().base_url(),
        })
    }
}

fn endpoint() -> Value {
    json!({
        "name": "haiku", "visibility": "public", "description": "One haiku about anything.",
        "installs": {
            "payer": "publisher",
            "limits": [{"unit": "requests", "window": "minute", "cap": 1_000}],
        },
    })
}
