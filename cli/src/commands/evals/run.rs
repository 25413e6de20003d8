//! `alphagate evals run`: a document, an endpoint, a verdict.

use super::{
    data::{DATA_SOURCE, upload_if_local},
    definition::find_or_create,
    junit, report,
    verdict::Thresholds,
    watch::watch,
};
use crate::{
    client::Client,
    commands::reference::id,
    context::Context,
    document::{Assignment, Document},
    exit,
    failure::Failure,
    pages::{Paging, Walk, fetch},
};
use alphagate_contract::id::{EvalId, RunId};
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The member that holds the run.
const RUN: &str = "run";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate evals run -f eval.yaml --model poet
  alphagate evals run -f eval.yaml --model haiku@4 --data items.jsonl --junit report.xml --pass-rate 0.9

The file holds what the API takes: an eval's fields (name, data_source_config, testing_criteria) and, as `run`, a run's. \
The eval is made once: a file that says the same finds it again. Data stand in the file (`source: {type: file_content, \
content: […]}`), were uploaded before (`file_id`), or lie in a file of JSON lines, which is uploaded: `source: {type: \
file, path: items.jsonl}`, relative to this one, or --data.

Status: 0 passed, 1 failed, 2 no verdict. An interruption stops the run.")]
pub(crate) struct Run {
    /// YAML or JSON: an eval's fields, and `run`; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Set a member of the document
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Assignment>,
    /// The endpoint, or `name@version` [default: the file's]
    #[arg(long, value_name = "ENDPOINT")]
    model: Option<String>,
    /// Items as JSON lines, each `{"item": {…}}` [default: the file's]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The run's name
    #[arg(long)]
    name: Option<String>,
    /// Start the run and leave it alone
    #[arg(long, conflicts_with = "junit")]
    detach: bool,
    #[command(flatten)]
    ending: Ending,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// `eval_…`
    eval: EvalId,
    /// `evalrun_…`
    run: RunId,
    #[command(flatten)]
    ending: Ending,
}

/// What is demanded of a run, and where it is reported.
#[derive(Debug, Args)]
struct Ending {
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    thresholds: Thresholds,
}

impl Run {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let client = context.client()?;
        let mut document = Document::read(&self.file, &self.set)?;
        let run = self.read_run(&mut document)?;
        let (eval, is_new) = find_or_create(&client, &document).await?;
        let run = self.start(&client, &document, &eval, run).await?;
        let run = id(&run)?.to_owned();
        if !context.output.is_json() {
            let known = if is_new { "made" } else { "found" };
            context.output.note(&format!("{eval} ({known}), {run}"));
        }
        if self.detach {
            let shown = json!({"eval": eval, "run": {"id": run, "status": "queued"}, "verdict": null});
            let hint = format!("alphagate evals watch {eval} {run}");
            context.output.show(&shown, |_| format!("started; `{hint}` watches it"))?;
            return Ok(exit::SUCCESS);
        }
        self.ending.finish(context, &client, &eval, &run).await
    }

    /// The document's run, with what the command line says.
    fn read_run(&self, document: &mut Document) -> Result<Value, Failure> {
        let mut run = document.take(RUN).unwrap_or_else(|| Value::Object(Map::new()));
        if !run.is_object() || !(run[DATA_SOURCE].is_object() || run[DATA_SOURCE].is_null()) {
            let place = document.place(RUN, "");
            return Err(Failure::said(format!("{place}: `run` is an object with a `data_source`")));
        }
        if let Some(model) = &self.model {
            run[DATA_SOURCE]["model"] = model.as_str().into();
        }
        if let Some(name) = &self.name {
            run["name"] = name.as_str().into();
        }
        Ok(run)
    }

    async fn start(
        &self,
        client: &Client,
        document: &Document,
        eval: &str,
        mut run: Value,
    ) -> Result<Value, Failure> {
        upload_if_local(client, document, &mut run, self.data.as_deref()).await?;
        let started = client.post(&["v1", "evals", eval, "runs"], &run).await;
        started.map_err(|failure| document.locate(RUN, failure))
    }
}

impl Watch {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let client = context.client()?;
        self.ending.finish(context, &client, &self.eval.to_string(), &self.run.to_string()).await
    }
}

impl Ending {
    /// Watches a run to its end, reports, and gives the status to end with.
    async fn finish(&self, context: &Context, client: &Client, eval: &str, run: &str) -> Result<u8, Failure> {
        let ended = watch(context, client, eval, run).await?;
        let path = ["v1", "evals", eval, "runs", run, "output_items"];
        let items = fetch(client, &path, &[], Walk::After, Paging::EVERY).await?.data;
        if let Some(path) = &self.junit {
            let definition = client.get(&["v1", "evals", eval], &[]).await?;
            write_junit(path, definition["name"].as_str().unwrap_or(eval), &ended, &items)?;
        }
        let verdict = self.thresholds.verdict(&ended);
        let others: Vec<&Value> = items.iter().filter(|item| item["status"] != "pass").collect();
        let shown = json!({"eval": eval, "run": ended, "verdict": verdict.as_str(), "not_passed": others});
        context.output.show(&shown, |_| report::whole(&ended, &items, verdict))?;
        Ok(verdict.status())
    }
}

fn write_junit(path: &Path, eval: &str, run: &Value, items: &[Value]) -> Result<(), Failure> {
    let wrong = |why: String| Failure::said(format!("{}: {why}", path.display()));
    let text = junit::report(eval, run, items).to_string().map_err(|error| wrong(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| wrong(error.to_string()))
}
