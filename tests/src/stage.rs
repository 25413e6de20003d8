//! An endpoint with its orgs and keys, ready to be called.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use alphagate_bed::{
    Bed,
    provider::Calls,
    seed::{Key, Org},
};
use alphagate_contract::{
    record::Pushed,
    ring::Ring,
    sign::{self, Audience, SIGNATURE_HEADER, Signed},
};
use anyhow::{Result, bail, ensure};
use reqwest::Response;
use serde_json::{Value, json};

use crate::{
    events::{Event, read_events},
    wait::until,
};

/// From a settlement to its event in control: a second in the ledger, and room for a loaded machine.
const USAGE_MAX: Duration = Duration::from_secs(30);

/// How long KV puts may take to be made, or to be seen failing.
const PUTS_MAX: Duration = Duration::from_secs(20);

/// The second call within a second asks for a lease, and the more there are the larger the next one is.
const OFTEN: usize = 12;

/// How long it may take to use up a quota of some hundred requests.
const USE_UP_MAX: Duration = Duration::from_secs(60);

/// Where the edge takes control's records.
const PUSH_PATH: &str = "/internal/v1/records";

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Someone who calls the edge with one key and one name.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The edge's URL, without a path.
    pub edge_url: String,
    /// The key.
    pub key: Key,
    /// What is put into `model`.
    pub name: String,
    /// The HTTP client.
    pub http: reqwest::Client,
}

/// A published endpoint, and someone of the same org who calls it.
#[derive(Debug)]
pub struct Stage {
    /// The bed it stands on.
    pub bed: &'static Bed,
    /// The publishing org.
    pub org: Org,
    /// The endpoint's id.
    pub endpoint: String,
    /// The provider's model, which no other stage uses.
    pub model: String,
    /// What its target speaks.
    pub protocol: &'static str,
    /// The credential that version 1 uses.
    pub credential: String,
    /// Calls with a key of the publishing org.
    pub caller: Caller,
}

impl Stage {
    /// Publishes version 1 with `config` on top of its one target. The endpoint is public and pays for installs.
    pub async fn new(bed: &'static Bed, config: Value) -> Result<Self> {
        Self::speaking(bed, "responses", config).await
    }

    /// As [`Self::new`], with a target that speaks `protocol`.
    pub async fn speaking(bed: &'static Bed, protocol: &'static str, config: Value) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let model = format!("fake-{}-{number}", std::process::id());
        let org = bed.org(&format!("Stage {number}")).await?;
        let credential = org.admin.create_credential("provider", &bed.provider().url(), "sk-stage").await?;
        let name = format!("stage-{number}");
        let limits = json!([{"unit": "requests", "window": "minute", "cap": 1_000_000}]);
        let endpoint = json!({"name": name, "visibility": "public", "installs": {"payer": "publisher", "limits": limits}});
        let endpoint = org.admin.create_endpoint(&endpoint).await?;
        let key = org.admin.mint_key("stage", &["call"]).await?;
        let caller = Caller { edge_url: bed.edge_url(), key, name, http: alphagate_bed::http_client(None)? };
        let stage = Self { bed, org, endpoint, model, protocol, credential, caller };
        stage.add_version(config).await?;
        stage.org.admin.publish(&stage.endpoint, 1, None).await?;
        Ok(stage)
    }

    /// Adds a version with `config` on top of the stage's target, and returns its number.
    pub async fn add_version(&self, config: Value) -> Result<u64> {
        let target = json!({"base_url": self.bed.provider().base_url(), "model": self.model, "protocol": self.protocol,
            "credential": self.credential});
        let mut version = json!({"targets": [target]});
        if let (Some(version), Value::Object(config)) = (version.as_object_mut(), config) {
            version.extend(config);
        }
        self.org.admin.create_version(&self.endpoint, &version).await
    }

    /// Another org that installs the endpoint under `name`; pinned to `version`, or following.
    pub async fn consumer(&self, name: &str, version: Option<u64>) -> Result<(Org, Caller)> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let org = self.bed.org(&format!("Consumer {number}")).await?;
        org.admin.install(&self.endpoint, name, version).await?;
        let key = org.admin.mint_key("consumer", &["call"]).await?;
        let caller = Caller { key, name: name.to_owned(), ..self.caller.clone() };
        Ok((org, caller))
    }

    /// Pushes a record of the publishing org to the edge.
    pub async fn push(&self, record: Value) -> Result<()> {
        self.push_all(&[record]).await.map(drop)
    }

    /// Waits until so many KV puts of the publishing org are still to come: an empty push tells.
    pub async fn puts_pending(&self, wanted: impl Fn(usize) -> bool) -> Result<()> {
        let ask = async || Ok(wanted(self.push_all(&[]).await?.kv_pending).then_some(()));
        until("KV puts made, or not", PUTS_MAX, ask).await
    }

    /// Pushes records of the publishing org to the edge, signed as control does.
    async fn push_all(&self, records: &[Value]) -> Result<Pushed> {
        let body = json!({"org": self.org.id, "records": records}).to_string();
        let ring = Ring::parse(self.bed.secrets().get("AG_CONTROL_TO_EDGE_RING")?)?;
        let signed = Signed {
            audience: Audience::Edge,
            method: "POST",
            path_and_query: PUSH_PATH,
            body: body.as_bytes(),
        };
        let now_ms = std::time::UNIX_EPOCH.elapsed()?.as_millis().try_into()?;
        let request = self.caller.http.post(format!("{}{PUSH_PATH}", self.caller.edge_url));
        let request = request.header(SIGNATURE_HEADER, sign::sign(&ring, &signed, now_ms));
        Ok(request.body(body).send().await?.error_for_status()?.json().await?)
    }

    /// What the provider saw of this stage.
    pub fn calls(&self) -> Calls {
        self.bed.provider().calls_of(&self.model)
    }

    /// The usage events of the publishing org, once control has `number` of them; more is an error.
    pub async fn usage(&self, number: usize) -> Result<Vec<Value>> {
        until(&format!("{number} usage events"), USAGE_MAX, async || {
            let events = self.org.admin.usage().await?;
            if events.len() > number {
                bail!("{} usage events instead of {number}: {events:?}", events.len());
            }
            Ok((events.len() == number).then_some(events))
        })
        .await
    }
}

impl Caller {
    /// Posts to `/v1/responses`: `model`, a short input, and `extra` on top.
    pub async fn post(&self, extra: Value) -> Result<Response> {
        let mut body = json!({"model": self.name, "input": "Write a line."});
        if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
            body.extend(extra);
        }
        self.post_bytes(body.to_string().into_bytes()).await
    }

    /// Posts any bytes to `/v1/responses`.
    pub async fn post_bytes(&self, body: Vec<u8>) -> Result<Response> {
        self.post_to("/v1/responses", body).await
    }

    /// Posts any bytes to a path.
    pub async fn post_to(&self, path: &str, body: Vec<u8>) -> Result<Response> {
        let request = self.http.post(format!("{}{path}", self.edge_url));
        let request = request.bearer_auth(&self.key.secret).header("content-type", "application/json");
        Ok(request.body(body).send().await?)
    }

    /// Posts with the provider's knobs (`x_fake`), streaming, and reads the stream to its end.
    pub async fn stream(&self, x_fake: Value) -> Result<Vec<Event>> {
        Ok(read_events(&self.stream_bytes(x_fake).await?))
    }

    /// As [`Self::stream`], as bytes.
    pub async fn stream_bytes(&self, x_fake: Value) -> Result<Vec<u8>> {
        let response = self.post(json!({"stream": true, "x_fake": x_fake})).await?.error_for_status()?;
        Ok(response.bytes().await?.to_vec())
    }

    /// Calls so often that in leased mode the isolate holds a lease for this caller then. Each call must be served.
    pub async fn call_often(&self) -> Result<()> {
        for _ in 0..OFTEN {
            let (status, body) = self.ask(json!({})).await?;
            ensure!(status == 200, "{status}: {body}");
        }
        Ok(())
    }

    /// Calls until the quota is used up, also what is on lease elsewhere, and answers how many calls were served.
    pub async fn use_up(&self) -> Result<u64> {
        let mut served = 0;
        let using_up = async {
            loop {
                let answer = self.post(json!({})).await?;
                let retry_after = answer.headers().get("retry-after").map(|value| value.to_str());
                let retry_after_s: u64 = retry_after.transpose()?.unwrap_or("0").parse()?;
                match answer.status().as_u16() {
                    200 => served += 1,
                    429 if retry_after_s > 1 => return Ok(()),
                    // It may be free again when a lease is returned.
                    429 => tokio::time::sleep(Duration::from_millis(100)).await,
                    status => bail!("{status}: {}", answer.text().await?),
                }
            }
        };
        tokio::time::timeout(USE_UP_MAX, using_up).await??;
        Ok(served)
    }

    /// Posts with the provider's knobs and answers status and body.
    pub async fn ask(&self, x_fake: Value) -> Result<(u16, Value)> {
        let response = self.post(json!({"x_fake": x_fake})).await?;
        Ok((response.status().as_u16(), response.json().await?))
    }
}
