//! One bed for all tests of this binary, with a runner where this host can isolate; and an org with a model of its own.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use alphagate_bed::{
    Bed, Options, Runner, RunnerOptions, Scratch, places,
    provider::{Knobs, Scripted},
    seed::{Key, Org},
};
use alphagate_tests::has_gvisor;
use anyhow::Result;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::program::Program;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// What the tests share.
struct Shared {
    bed: Bed,
    mails: Scratch,
    _runner: Option<Runner>,
}

async fn shared() -> Result<&'static Shared> {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    let start = async || {
        let mails = Scratch::new()?;
        let bed =
            Bed::start(Options::default().control_var("AG_MAIL_FOLDER", mails.path().display())).await?;
        let runner = match has_gvisor()? {
            true => Some(bed.start_runner(RunnerOptions::new("cli", 2, 8)).await?),
            false => None,
        };
        anyhow::Ok(Shared { bed, mails, _runner: runner })
    };
    SHARED.get_or_try_init(start).await
}

/// The bed.
pub async fn bed() -> Result<&'static Bed> {
    Ok(&shared().await?.bed)
}

/// Where control puts its mails.
pub async fn mails() -> Result<&'static Path> {
    Ok(shared().await?.mails.path())
}

/// An org with one key of the scopes `admin`, `gate` and `force`, and someone who uses it.
#[derive(Debug)]
pub struct Scene {
    pub bed: &'static Bed,
    pub org: Org,
    pub key: Key,
    pub program: Program,
    /// The provider's model, which no other scene uses.
    pub model: String,
    pub credential: String,
}

impl Scene {
    pub async fn new() -> Result<Self> {
        let bed = bed().await?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let model = format!("cli-{}-{number}", std::process::id());
        let org = bed.org(&format!("Terminal {number}")).await?;
        let key = mint(bed, &org, &["admin", "gate", "force"]).await?;
        let program = Program::with_key(bed, &key.secret)?;
        let created = ["credentials", "create", "provider", "--origin", &bed.provider().url(), "--json"];
        let created = program.run_with(&created, "sk-terminal\n").await?.with_status(0)?.json()?;
        let credential = created["id"].as_str().unwrap_or_default().to_owned();
        Ok(Self { bed, org, key, program, model, credential })
    }

    /// What the model answers to inputs that contain something.
    pub fn answers(&self, answers: &[(&str, &str)]) {
        let scripted =
            |(when, text): &(&str, &str)| Scripted { when: (*when).to_owned(), text: (*text).to_owned() };
        let answers = answers.iter().map(scripted).collect();
        self.bed.provider().set_model(&self.model, Knobs { answers: Some(answers), ..Knobs::default() });
    }

    /// `--set` for the example's target: this scene's provider, model and credential.
    pub fn target(&self) -> Vec<String> {
        let set = |name: &str, value: &str| ["--set".into(), format!("version.targets[0].{name}={value}")];
        [
            set("base_url", &self.bed.provider().base_url()),
            set("model", &self.model),
            set("credential", &self.credential),
        ]
        .concat()
    }

    /// `endpoints apply` or `diff` of a file, with this scene's target.
    pub async fn endpoints(&self, verb: &str, file: &str, more: &[&str]) -> Result<super::program::Ran> {
        let target = self.target();
        let mut arguments = vec!["endpoints", verb, "-f", file];
        arguments.extend(target.iter().map(String::as_str));
        arguments.extend(more);
        self.program.run(&arguments).await
    }

    /// A key that may only call.
    pub async fn caller(&self) -> Result<Key> {
        mint(self.bed, &self.org, &["call"]).await
    }

    /// Calls a name at the edge: status and body.
    pub async fn call(&self, secret: &str, name: &str, input: &str) -> Result<(u16, Value)> {
        let http = alphagate_bed::http_client(None)?;
        let call = http.post(format!("{}/v1/responses", self.bed.edge_url())).bearer_auth(secret);
        let answer = call.json(&json!({"model": name, "input": input})).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }
}

/// A key of the org with these scopes.
async fn mint(bed: &Bed, org: &Org, scopes: &[&str]) -> Result<Key> {
    let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
    let arguments: Vec<&str> = ["keys", "create", "terminal"].into_iter().chain(scopes).collect();
    Ok(serde_json::from_value(Program::with_key(bed, &org.admin_key)?.json(&arguments).await?)?)
}

/// A file of the example.
pub fn example(name: &str) -> Result<String> {
    let path = places::workspace()?.join("examples/haiku").join(name);
    Ok(path.display().to_string())
}
