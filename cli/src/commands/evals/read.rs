//! Reading evals, runs and output items, and ending them.

use crate::{
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, dollars, text, unix},
};
use alphagate_contract::id::{EvalId, RunId};
use clap::{Args, ValueEnum};
use serde_json::Value;

const EVALS: [Column; 4] = [
    ("ID", |row| text(&row["id"])),
    ("NAME", |row| text(&row["name"])),
    ("GRADERS", |row| {
        let graders = row["testing_criteria"].as_array().into_iter().flatten();
        graders.map(|grader| text(&grader["name"])).collect::<Vec<_>>().join(", ")
    }),
    ("CREATED", |row| unix(&row["created_at"])),
];

const RUNS: [Column; 8] = [
    ("ID", |row| text(&row["id"])),
    ("MODEL", |row| text(&row["model"])),
    ("STATUS", |row| text(&row["status"])),
    ("PASSED", |row| text(&row["result_counts"]["passed"])),
    ("FAILED", |row| text(&row["result_counts"]["failed"])),
    ("ERRORED", |row| text(&row["result_counts"]["errored"])),
    ("COST", |row| dollars(&row["alphagate"]["cost_micros"])),
    ("CREATED", |row| unix(&row["created_at"])),
];

const ITEMS: [Column; 4] = [
    ("ITEM", |row| text(&row["datasource_item_id"])),
    ("STATUS", |row| text(&row["status"])),
    ("SCORES", scores),
    ("ID", |row| text(&row["id"])),
];

/// The scores of an item, by its graders.
pub(super) fn scores(item: &Value) -> String {
    let results = item["results"].as_array().into_iter().flatten();
    let score = |result: &Value| match result["error"].is_null() {
        true => format!("{}={}", text(&result["name"]), result["score"]),
        false => format!("{}: {}", text(&result["name"]), text(&result["error"]["code"])),
    };
    results.map(score).collect::<Vec<_>>().join(", ")
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    paging: Paging,
}

/// Newest first, as all lists here are.
fn newest_first() -> Vec<(&'static str, String)> {
    vec![("order", "desc".to_owned())]
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let found = fetch(&client, &["v1", "evals"], &newest_first(), Walk::After, self.paging).await?;
        context.output.list(&EVALS, &found)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// `eval_…`
    eval: EvalId,
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let eval = context.client()?.get(&["v1", "evals", &self.eval.to_string()], &[]).await?;
        // Graders are trees: JSON shows them to people, too.
        context.output.document(&eval)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// `eval_…`
    eval: EvalId,
    /// Show this run
    run: Option<RunId>,
    #[command(flatten)]
    paging: Paging,
}

impl Runs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let eval = self.eval.to_string();
        let Some(run) = self.run else {
            let path = ["v1", "evals", &eval, "runs"];
            let found = fetch(&client, &path, &newest_first(), Walk::After, self.paging).await?;
            return context.output.list(&RUNS, &found);
        };
        let run = client.get(&["v1", "evals", &eval, "runs", &run.to_string()], &[]).await?;
        context.output.show(&run, super::report::summary)
    }
}

/// How an item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    /// Every grader passed
    Pass,
    /// A grader did not
    Fail,
    /// There is no verdict
    Error,
}

#[derive(Debug, Args)]
pub(crate) struct Items {
    /// `eval_…`
    eval: EvalId,
    /// `evalrun_…`
    run: RunId,
    /// Only those that ended so
    #[arg(long)]
    status: Option<Status>,
    #[command(flatten)]
    paging: Paging,
}

impl Items {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let (eval, run) = (self.eval.to_string(), self.run.to_string());
        let path = ["v1", "evals", &eval, "runs", &run, "output_items"];
        let status = self.status.and_then(|status| Some(status.to_possible_value()?.get_name().to_owned()));
        let filters: Vec<_> = status.into_iter().map(|status| ("status", status)).collect();
        context.output.list(&ITEMS, &fetch(&client, &path, &filters, Walk::After, self.paging).await?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// `eval_…`
    eval: EvalId,
    /// `evalrun_…`
    run: RunId,
}

impl Cancel {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let path = ["v1", "evals", &self.eval.to_string(), "runs", &self.run.to_string(), "cancel"];
        let run = context.client()?.post_once(&path).await?;
        context.output.show(&run, super::report::summary)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// `eval_…`
    eval: EvalId,
}

impl Delete {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let eval = self.eval.to_string();
        let answer = context.client()?.delete(&["v1", "evals", &eval]).await?;
        context.output.show(&answer, |_| format!("{eval} is deleted"))
    }
}
