//! Unmodified OpenAI SDKs against the edge: every way to call, every class of error, retries, timeouts, broken streams.
//!
//! The client programs in tests/sdks do what a line of JSON says and print what they saw; the table of cases is
//! `sdks/cases.rs`, and the provider's own count says what really reached it.

mod sdks {
    pub mod cases;
    pub mod client;
    pub mod kinds;
    pub mod state;
}

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alphagate_bed::{
    Bed, Options, Scratch,
    provider::{Outcome, Seen, png},
};
use alphagate_tests::Stage;
use anyhow::{Context, Result, bail, ensure};
use sdks::{
    cases::{Case, IMAGE_BYTES, cases},
    client::Client,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

/// Over plain TCP, workerd hears that a client has left only when it writes to it: so often does it write at least.
const KEEP_ALIVE_MS: u64 = 400;
/// From the client's leaving to the end of the call at the provider.
const ABORT_MAX: Duration = Duration::from_secs(1);

async fn bed() -> Result<&'static Bed> {
    static BED: OnceCell<Bed> = OnceCell::const_new();
    let options = Options::default().edge_var("AG_KEEPALIVE_MS", KEEP_ALIVE_MS);
    BED.get_or_try_init(|| Bed::start(options)).await
}

/// What the cases play on.
struct Scene {
    stage: Stage,
    /// Its only request of the hour is used up.
    used_up: Stage,
    scratch: Scratch,
}

impl Scene {
    async fn new() -> Result<Self> {
        let stage = Stage::new(bed().await?, json!({"instructions": "Answer with one line."})).await?;
        let used_up = Stage::new(stage.bed, json!({})).await?;
        let quota =
            json!([{"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 1}}]);
        used_up.org.admin.put_quotas(&quota).await?;
        ensure!(used_up.caller.ask(json!({})).await?.0 == 200);
        let scratch = Scratch::new()?;
        std::fs::write(scratch.path().join("image.png"), png(IMAGE_BYTES))?;
        Ok(Self { stage, used_up, scratch })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The line that tells the client program what to do.
    fn ask(&self, case: &Case) -> Value {
        let caller = if case.used_up { &self.used_up.caller } else { &self.stage.caller };
        let mut ask = json!({
            "case": case.name, "how": case.how, "base_url": format!("{}/v1", caller.edge_url), "api_key": caller.key.secret,
            "model": caller.name, "input": "Write a line.", "extra": {"x_fake": case.fake, "x_case": case.name},
        });
        for (name, value) in case.options.as_object().into_iter().flatten() {
            ask[name] = match value.as_str() {
                Some("$admin_key") => self.stage.org.admin_key.clone().into(),
                Some("$image_file") => json!(self.file("image.png")),
                Some("$dump") => json!(self.file("body.json")),
                _ => value.clone(),
            };
        }
        for (name, value) in case.extra.as_object().into_iter().flatten() {
            ask["extra"][name] = value.clone();
        }
        if case.image_url {
            let url = self.stage.bed.provider().image_url(IMAGE_BYTES);
            let content = json!([{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": url}]);
            ask["input"] = json!([{"role": "user", "content": content}]);
        }
        ask
    }

    fn calls(&self, case: &Case) -> Vec<Seen> {
        let mine = |seen: &Seen| seen.json().is_some_and(|body| body["x_case"] == case.name);
        self.stage.calls().requests().into_iter().filter(mine).collect()
    }

    async fn check(&self, case: &Case, seen: &Value, client: &Client) -> Result<()> {
        for (field, wanted) in case.wanted.as_object().into_iter().flatten() {
            matches(&seen[field], &client.in_its_words(wanted))
                .with_context(|| format!("{field} in {seen:#}"))?;
        }
        if case.wanted["error"].is_null() {
            ensure!(seen["error"].is_null(), "{seen:#}");
        } else {
            ensure!(
                seen["error"]["message"].as_str().is_some_and(|text| !text.is_empty()),
                "no message: {seen:#}"
            );
        }
        if let Some(wanted) = case.calls {
            let calls = self.calls(case).len();
            ensure!(calls == wanted, "{calls} calls reached the provider, not {wanted}: {seen:#}");
        }
        if case.image_url {
            self.check_url(case)?;
        }
        if case.aborted {
            self.check_aborted(case).await?;
        }
        if case.options["dump"].is_string() {
            self.check_bytes(case, &self.file("body.json"))?;
        }
        Ok(())
    }

    /// The image's address has reached the provider.
    fn check_url(&self, case: &Case) -> Result<()> {
        let url = self.stage.bed.provider().image_url(IMAGE_BYTES);
        let has_url =
            |seen: &Seen| seen.json().is_some_and(|body| body["input"][0]["content"][1]["image_url"] == *url);
        ensure!(self.calls(case).iter().all(has_url), "the image's URL has changed on its way");
        Ok(())
    }

    /// The provider's call ends with the client's.
    async fn check_aborted(&self, case: &Case) -> Result<()> {
        let left_after = Duration::from_secs_f64(case.options["timeout_s"].as_f64().unwrap_or_default());
        let running = || self.calls(case).iter().any(|seen| seen.outcome == Outcome::InFlight);
        self.stage.calls().wait_until(|_| !running(), ABORT_MAX).await?;
        for seen in self.calls(case) {
            let Outcome::Aborted(at) = seen.outcome else { bail!("not aborted: {:?}", seen.outcome) };
            let ran = at.duration_since(seen.at);
            ensure!(ran < left_after + ABORT_MAX, "aborted only after {ran:?}");
        }
        Ok(())
    }

    /// The provider got the client's own bytes, but for the model's name and what the version sets.
    fn check_bytes(&self, case: &Case, dump: &Path) -> Result<()> {
        let sent = String::from_utf8(std::fs::read(dump)?)?;
        let name = json!(self.stage.caller.name).to_string();
        let wanted = sent.replacen(&name, &json!(self.stage.model).to_string(), 1);
        let wanted = wanted.strip_suffix('}').context("no object")?;
        let added = r#","instructions":"Answer with one line.","store":false}"#;
        let wanted = format!("{wanted}{added}");
        let calls = self.calls_of_images();
        let [seen] = calls.as_slice() else { bail!("{} calls of {}", calls.len(), case.name) };
        let digest = hex::encode(Sha256::digest(wanted.as_bytes()));
        ensure!(seen.body_bytes == wanted.len(), "{} bytes, not {}", seen.body_bytes, wanted.len());
        ensure!(seen.body_sha256 == digest, "the image has changed on its way");
        Ok(())
    }

    /// Their bodies are not kept whole, so the case's name may be missing.
    fn calls_of_images(&self) -> Vec<Seen> {
        let large = |seen: &Seen| seen.body_bytes > IMAGE_BYTES as usize;
        self.stage.calls().requests().into_iter().filter(large).collect()
    }
}

/// Whether `seen` has everything of `wanted`; a text that begins with `^` is the beginning of another.
fn matches(seen: &Value, wanted: &Value) -> Result<()> {
    match wanted {
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, wanted)| matches(&seen[name], wanted).with_context(|| name.clone())),
        Value::String(text) if text.starts_with('^') => {
            let begins = seen.as_str().is_some_and(|seen| seen.starts_with(&text[1..]));
            ensure!(begins, "{seen} does not begin with {}", &text[1..]);
            Ok(())
        }
        _ => {
            ensure!(seen == wanted, "{seen} instead of {wanted}");
            Ok(())
        }
    }
}

async fn walk(client: Client) -> Result<()> {
    let scene = Scene::new().await?;
    let cases = cases(&scene.stage.caller.name);
    let asks: Vec<Value> = cases.iter().map(|case| scene.ask(case)).collect();
    let mut wrong = Vec::new();
    let mut program = client.start().await?;
    for (case, ask) in cases.iter().zip(&asks) {
        let seen = program.tell(ask).await.with_context(|| case.name)?;
        if let Err(error) = scene.check(case, &seen, &client).await {
            wrong.push(format!("{}: {error:#}", case.name));
        }
    }
    program.end().await?;
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn python_3() -> Result<()> {
    walk(Client::python()?).await
}

#[tokio::test]
async fn node_6() -> Result<()> {
    walk(Client::node("openai-6")?).await
}

#[tokio::test]
async fn node_7() -> Result<()> {
    walk(Client::node("openai")?).await
}

#[tokio::test]
async fn the_image_of_the_cases_is_a_real_png() -> Result<()> {
    let url = bed().await?.provider().image_url(IMAGE_BYTES);
    let image = alphagate_bed::http_client(None)?.get(url).send().await?.bytes().await?;
    assert!(
        image.starts_with(b"\x89PNG\r\n\x1a\n") && image.len() >= IMAGE_BYTES as usize,
        "{} bytes",
        image.len()
    );
    Ok(())
}

#[tokio::test]
async fn what_is_kept_compacted_and_continued_on_a_connection_is_so_for_every_sdk() -> Result<()> {
    for client in [Client::python()?, Client::node("openai-6")?, Client::node("openai")?] {
        sdks::state::walk(&client).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_of_target_by_either_protocol() -> Result<()> {
    let mut wrong = Vec::new();
    for client in [Client::python()?, Client::node("openai-6")?, Client::node("openai")?] {
        wrong.extend(sdks::kinds::walk(&client).await?);
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
