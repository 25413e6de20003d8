//! `alphagate quotas`: the org's whole list of quotas, read and written as one document.

use crate::{
    context::Context,
    document::{Assignment, Document},
    failure::Failure,
    table::{self, Column, text},
};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;

const COLUMNS: [Column; 3] = [("SUBJECT", subject), ("LIMIT", limit), ("ACTION", |row| text(&row["action"]))];

#[derive(Debug, Subcommand)]
pub(crate) enum Quotas {
    /// Show every quota of the org
    Get,
    /// Replace every quota of the org by those of a file
    #[command(after_help = "\
Example:
  alphagate quotas get --json > quotas.json && vi quotas.json && alphagate quotas set -f quotas.json")]
    Set {
        /// YAML or JSON: `quotas`, a list; `-` is standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
        /// Set a member of the document: `quotas[0].limit.cap=5`
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<Assignment>,
    },
}

impl Quotas {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let answer = match self {
            Self::Get => client.get(&["v1", "quotas"], &[]).await?,
            Self::Set { file, set } => {
                let document = Document::read(&file, &set)?;
                let answer = client.put(&["v1", "quotas"], &document.value).await;
                answer.map_err(|failure| document.locate("", failure))?
            }
        };
        // What is shown can be set again.
        context.output.show(&json!({"quotas": answer["quotas"]}), |shown| {
            let quotas = shown["quotas"].as_array().map(Vec::as_slice).unwrap_or_default();
            table::table(&COLUMNS, quotas)
        })
    }
}

fn subject(quota: &Value) -> String {
    let Value::Object(subject) = &quota["subject"] else { return text(&quota["subject"]) };
    let kind = subject.get("kind").map(text).unwrap_or_default();
    let ids = subject.iter().filter(|(name, _)| *name != "kind").map(|(_, id)| text(id));
    std::iter::once(kind).chain(ids).collect::<Vec<_>>().join(" ")
}

fn limit(quota: &Value) -> String {
    let limit = &quota["limit"];
    match limit["concurrency"].as_u64() {
        Some(concurrency) => format!("{concurrency} at once"),
        None => format!("{} {} a {}", text(&limit["cap"]), text(&limit["unit"]), text(&limit["window"])),
    }
}
