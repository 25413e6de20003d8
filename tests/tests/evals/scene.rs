//! An org with an endpoint under test, a judge, and a key that may call and evaluate; and a runner that does the work.

use std::collections::BTreeMap;

use alphagate_bed::{
    Bed, Options, Runner, RunnerOptions,
    provider::{Knobs, Scripted},
    seed::Key,
};
use alphagate_tests::{Evaluator, Stage};
use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The name of the judge's endpoint.
pub const JUDGE: &str = "judge";

/// What the evals of a test play on.
pub struct Scene {
    pub stage: Stage,
    pub evaluator: Evaluator,
    /// Scopes `call` and `evals`: what a user of the SDK has.
    pub key: Key,
    judge_model: String,
}

/// One bed with one runner for all tests that hurt neither.
pub async fn shared() -> Result<&'static Bed> {
    static SHARED: OnceCell<(Bed, Runner)> = OnceCell::const_new();
    let start = async || {
        let bed = Bed::start(Options::default()).await?;
        let runner = bed.start_runner(RunnerOptions::new("evals", 2, 16)).await?;
        anyhow::Ok((bed, runner))
    };
    Ok(&SHARED.get_or_try_init(start).await?.0)
}

impl Scene {
    pub async fn new(bed: &'static Bed) -> Result<Self> {
        let stage = Stage::new(bed, json!({})).await?;
        let key = stage.org.admin.mint_key("sdk", &["call", "evals"]).await?;
        let judge_model = format!("{}-judge", stage.model);
        let judge = json!({"name": JUDGE, "visibility": "private"});
        let judge = stage.org.admin.create_endpoint(&judge).await?;
        let target = json!({"base_url": bed.provider().base_url(), "model": judge_model, "credential": stage.credential});
        let version = stage.org.admin.create_version(&judge, &json!({"targets": [target]})).await?;
        stage.org.admin.publish(&judge, version, None).await?;
        let evaluator = Evaluator::of(bed, stage.org.clone()).await?;
        Ok(Self { stage, evaluator, key, judge_model })
    }

    /// What the endpoint under test answers to inputs that contain something.
    pub fn answers(&self, answers: &[(&str, &str)]) {
        script(self.stage.bed, &self.stage.model, answers);
    }

    /// What the judge answers.
    pub fn judges(&self, answers: &[(&str, &str)]) {
        script(self.stage.bed, &self.judge_model, answers);
    }

    /// Makes an eval of items `{task, wanted}` with these graders, and answers its id.
    pub async fn eval(&self, name: &str, graders: &Value) -> Result<String> {
        let field = json!({"type": "string"});
        let schema =
            json!({"type": "object", "properties": {"task": field, "wanted": field}, "required": ["task"]});
        let config = json!({"type": "custom", "item_schema": schema, "include_sample_schema": true});
        let eval = json!({"name": name, "data_source_config": config, "testing_criteria": graders});
        let made: Value = self.evaluator.control.send(Method::POST, "/v1/evals", &eval).await?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Starts a run of the endpoint under test over these items.
    pub async fn run(&self, eval: &str, items: &[Value]) -> Result<String> {
        let mut source = data_source(items);
        source["model"] = self.stage.caller.name.clone().into();
        let run = json!({"name": "run", "data_source": source});
        let made: Value =
            self.evaluator.control.send(Method::POST, &format!("/v1/evals/{eval}/runs"), &run).await?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }
}

fn script(bed: &Bed, model: &str, answers: &[(&str, &str)]) {
    let scripted =
        |(when, text): &(&str, &str)| Scripted { when: (*when).to_owned(), text: (*text).to_owned() };
    let answers = answers.iter().map(scripted).collect();
    bed.provider().set_model(model, Knobs { answers: Some(answers), ..Knobs::default() });
}

/// A data source that asks each item's task, without a model.
pub fn data_source(items: &[Value]) -> Value {
    let content: Vec<Value> = items.iter().map(|item| json!({"item": item})).collect();
    json!({
        "type": "responses",
        "source": {"type": "file_content", "content": content},
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.task}}"}]},
    })
}

/// A python grader by its source.
pub fn python(name: &str, source: &str) -> Value {
    json!({"type": "python", "name": name, "source": source, "pass_threshold": 0.5})
}

/// Counts of something by a text of each.
pub fn count_by<'a>(
    items: &'a [Value],
    field: impl Fn(&'a Value) -> Option<&'a str>,
) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(field(item).unwrap_or_default()).or_default() += 1;
    }
    counts
}
