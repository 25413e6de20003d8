//! The demo of `cargo xtask up`: one org publishes `haiku`, another installs it as `poet`, calls it and evaluates it.
//!
//! Version 1 is live at once, without a gate. Where jobs can run, version 2 goes through one: a python grader that
//! counts lines. Invariant: on the same data and the same provider it is made once; later starts get the same keys.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::seed::Control;
use crate::{Bed, places};

const FILE: &str = "demo.json";
/// The provider takes any bearer; this one shows in its log that it came from the demo.
const PROVIDER_SECRET: &str = "sk-demo";
/// The name that the installing org calls.
const NAME: &str = "poet";
/// Three samples and three sandboxes take seconds; a first boot of everything on a busy machine the rest.
const GATE_DEADLINE_S: u64 = 120;
/// Between two looks at a publication that a person waits for.
const GATE_PAUSE: Duration = Duration::from_millis(200);
/// A haiku has three lines.
const GRADER: &str =
    "def grade(sample, item):\n    return float(len(sample[\"output_text\"].splitlines()) == 3)\n";

/// What a person needs to call the demo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Demo {
    /// The publisher's key, scope `admin`.
    pub publisher_admin_key: String,
    /// The installing org's key, scope `admin`.
    pub admin_key: String,
    /// The installing org's key, scopes `call` and `evals`.
    pub api_key: String,
    /// What to put into `model`.
    pub endpoint: String,
    /// The publisher's key with scopes `admin` and `gate`.
    keeper_key: String,
    /// The endpoint's id, and the credential of its target.
    published: (String, String),
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
        let _answer: Value = edge.send(Method::POST, "/v1/responses", &call).await?;
        Ok(())
    }

    /// Sends version 2 through a gate, unless that was done before, and says how its publication ended.
    pub async fn demo_gate(&self, demo: &Demo) -> Result<String> {
        let keeper = self.control_as(&demo.keeper_key)?;
        let (endpoint, credential) = &demo.published;
        let path = format!("/v1/endpoints/{endpoint}");
        if keeper.get::<Value>(&path).await?["live"] != 1 {
            return Ok("live".to_owned());
        }
        let eval: Value = keeper.send(Method::POST, "/v1/evals", &eval()).await?;
        let demand =
            json!({"eval": eval["id"], "data_source": data_source(), "thresholds": {"pass_rate": 1.0}});
        let gate = json!({"evals": [demand], "deadline_s": GATE_DEADLINE_S});
        let _gate: Value = keeper.send(Method::PUT, &format!("{path}/gate"), &gate).await?;
        let config = self.version(credential, "Answer with one haiku, in three lines.");
        let version = keeper.create_version(endpoint, &config).await?;
        let mut publication = keeper.publish(endpoint, version, Some(1)).await?;
        let path = format!("{path}/publications/{}", publication["id"].as_str().unwrap_or_default());
        while publication["state"] == "running" {
            tokio::time::sleep(GATE_PAUSE).await;
            publication = keeper.get(&path).await?;
        }
        Ok(publication["state"].as_str().unwrap_or_default().to_owned())
    }

    fn version(&self, credential: &str, instructions: &str) -> Value {
        json!({
            "targets": [{"base_url": self.provider().base_url(), "model": "fake-1", "credential": credential}],
            "instructions": instructions,
            "defaults": {"temperature": 0.2},
        })
    }

    /// The database may be another than the one the demo was made in.
    async fn knows(&self, demo: &Demo) -> Result<bool> {
        let admin = self.control_as(&demo.admin_key)?;
        let reply = admin.call(Method::GET, "/v1/keys", None).await?;
        Ok(reply.status.is_success())
    }

    async fn make_demo(&self) -> Result<Demo> {
        let alpha = self.org("Alpha").await?;
        let origin = self.provider().url();
        let credential = alpha.admin.create_credential("demo", &origin, PROVIDER_SECRET).await?;
        let endpoint = alpha.admin.create_endpoint(&endpoint()).await?;
        let config = self.version(&credential, "Answer with one haiku.");
        let version = alpha.admin.create_version(&endpoint, &config).await?;
        alpha.admin.publish(&endpoint, version, None).await?;
        let keeper = alpha.admin.mint_key("keeper", &["admin", "gate"]).await?;
        let beta = self.org("Beta").await?;
        beta.admin.install(&endpoint, NAME, None).await?;
        let key = beta.admin.mint_key("demo", &["call", "evals"]).await?;
        Ok(Demo {
            publisher_admin_key: alpha.admin_key,
            admin_key: beta.admin_key,
            api_key: key.secret,
            endpoint: NAME.to_owned(),
            keeper_key: keeper.secret,
            published: (endpoint, credential),
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

fn eval() -> Value {
    let schema =
        json!({"type": "object", "properties": {"about": {"type": "string"}}, "required": ["about"]});
    json!({
        "name": "haiku-shape",
        "data_source_config": {"type": "custom", "item_schema": schema, "include_sample_schema": true},
        "testing_criteria": [{"type": "python", "name": "three lines", "source": GRADER, "pass_threshold": 1.0}],
    })
}

fn data_source() -> Value {
    let content: Vec<Value> =
        ["rain", "a frog", "the sea"].iter().map(|about| json!({"item": {"about": about}})).collect();
    json!({
        "type": "responses",
        "source": {"type": "file_content", "content": content},
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.about}}"}]},
    })
}
