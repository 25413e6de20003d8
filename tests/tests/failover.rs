//! Fail-over on the real stack: two providers, A and B, of which A fails in every way that is known. What the caller sees,
//! what is billed, which breaker opens, and how it closes.
//!
//! Invariant: the providers are the witnesses: whom the edge has called stands in their ledgers.

mod failover {
    pub mod billed;
    pub mod canary;
    pub mod cases;
    pub mod recovery;
}

use alphagate_bed::{
    Bed, Options,
    provider::{Calls, Knobs, Provider},
    seed::Org,
};
use alphagate_tests::{Caller, Stage, until};
use anyhow::{Context, Result};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// How long target A may take to its head, and to its first content, milliseconds.
const A_MAX_MS: u64 = 400;

/// A bed with the Worker's knobs: its clock can be moved.
async fn bed() -> Result<&'static Bed> {
    static BED: OnceCell<Bed> = OnceCell::const_new();
    BED.get_or_try_init(|| Bed::start(Options::default().with_knobs())).await
}

/// Provider B: another company, at another origin.
async fn other() -> Result<&'static Provider> {
    static OTHER: OnceCell<Provider> = OnceCell::const_new();
    OTHER.get_or_try_init(Provider::start).await
}

/// An endpoint with two targets, A before B, whose manners are set by name of model.
struct Pair {
    stage: Stage,
    a: String,
    b: String,
}

impl Pair {
    /// `config` goes on top of the version, `a` on top of target A.
    async fn new(bed: &'static Bed, config: Value, a: Value) -> Result<Self> {
        let stage = Stage::new(bed, json!({})).await?;
        let (model_a, model_b) = (format!("{}-a", stage.model), format!("{}-b", stage.model));
        let sealed = stage.org.admin.create_credential("B", &other().await?.url(), "sk-b").await?;
        let price = json!({"input_micros_per_mtok": 1_000_000, "output_micros_per_mtok": 1_000_000});
        let mut first = json!({
            "base_url": bed.provider().base_url(), "model": model_a, "credential": stage.credential, "price": price,
            "timeouts": {"connect_ms": A_MAX_MS, "first_token_ms": A_MAX_MS},
        });
        extend(&mut first, a)?;
        let second = json!({"base_url": other().await?.base_url(), "model": model_b, "credential": sealed, "order": 1});
        let mut version = json!({"targets": [first, second]});
        extend(&mut version, config)?;
        let number = stage.add_version(version).await?;
        stage.org.admin.publish(&stage.endpoint, number, Some(1)).await?;
        let pair = Self { stage, a: model_a, b: model_b };
        pair.manners(json!({}), json!({})).await?;
        Ok(pair)
    }

    /// What A and B do from now on, on top of what tells them apart.
    async fn manners(&self, a: Value, b: Value) -> Result<()> {
        let knobs = |text: &str, extra: Value| -> Result<Knobs> {
            let mut knobs = json!({"text": text, "usage": {"input_tokens": 30, "output_tokens": 3}});
            extend(&mut knobs, extra)?;
            Ok(serde_json::from_value(knobs)?)
        };
        self.stage.bed.provider().set_model(&self.a, knobs("from A at last", a)?);
        other().await?.set_model(&self.b, knobs("from B at last", b)?);
        Ok(())
    }

    fn calls_of_a(&self) -> Calls {
        self.stage.bed.provider().calls_of(&self.a)
    }

    async fn calls_of_b(&self) -> Result<Calls> {
        Ok(other().await?.calls_of(&self.b))
    }

    fn org(&self) -> &Org {
        &self.stage.org
    }

    fn caller(&self) -> &Caller {
        &self.stage.caller
    }

    /// Asks, and reads the whole answer.
    async fn ask(&self, stream: bool) -> Result<Heard> {
        Heard::of(self.caller().post(json!({"stream": stream})).await?).await
    }

    /// The event of an answer, once control has it.
    async fn usage_of(&self, heard: &Heard) -> Result<Value> {
        until("the usage event", std::time::Duration::from_secs(30), async || {
            let events = self.org().admin.usage().await?;
            Ok(events.into_iter().find(|event| event["id"] == heard.id.as_str()))
        })
        .await
    }
}

fn extend(onto: &mut Value, more: Value) -> Result<()> {
    let more = more.as_object().cloned().context("no object")?;
    onto.as_object_mut().context("no object")?.extend(more);
    Ok(())
}

/// What a caller has heard.
#[derive(Debug)]
struct Heard {
    status: u16,
    id: String,
    target: Option<String>,
    attempts: Option<String>,
    retry_after: Option<String>,
    body: String,
}

impl Heard {
    async fn of(answer: Response) -> Result<Self> {
        let header =
            |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Self {
            status: answer.status().as_u16(),
            id: header("x-request-id").context("no x-request-id")?,
            target: header("x-ag-target"),
            attempts: header("x-ag-attempts"),
            retry_after: header("retry-after"),
            body: answer.text().await?,
        })
    }

    /// Whether it is a whole answer of this target, and of no other.
    fn assert_from(&self, letter: char, case: &str) {
        let (own, others) = if letter == 'A' { ('A', 'B') } else { ('B', 'A') };
        assert_eq!(self.status, 200, "{case}: {self:?}");
        assert!(self.body.contains(&format!("from {own}")), "{case}: {self:?}");
        assert!(!self.body.contains(&format!("from {others}")), "{case}: {self:?}");
        assert!(self.body.contains("completed"), "{case}: {self:?}");
        assert_eq!(self.target.as_deref(), Some(if letter == 'A' { "0" } else { "1" }), "{case}: {self:?}");
    }
}
