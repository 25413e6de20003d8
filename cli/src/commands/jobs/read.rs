//! Reading jobs and what they wrote, and ending them.

use crate::{
    context::Context,
    failure::Failure,
    pages::{Paging, Walk, fetch},
    table::{Column, text},
    transport::cause,
};
use alphagate_contract::id::{JobId, RunId};
use clap::Args;
use reqwest::header::HeaderMap;
use std::io::Write as _;

const COLUMNS: [Column; 6] = [
    ("ID", |row| text(&row["id"])),
    ("NAME", |row| text(&row["name"])),
    ("STATE", |row| text(&row["state"])),
    ("OUTCOME", |row| text(&row["outcome"])),
    ("LANGUAGE", |row| text(&row["language"])),
    ("CREATED", |row| text(&row["created_at"])),
];

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that are: queued, starting, running, done, canceled, dead
    #[arg(long)]
    state: Option<String>,
    /// Only those that ended so: passed, failed, timeout, memory, output, crashed, infrastructure
    #[arg(long)]
    outcome: Option<String>,
    /// Only those with this label
    #[arg(long)]
    label: Option<String>,
    /// Only those of this run of an eval
    #[arg(long, value_name = "ID")]
    run: Option<RunId>,
    /// A part of the name
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let filters = [
            ("state", self.state),
            ("outcome", self.outcome),
            ("label", self.label),
            ("run", self.run.map(|run| run.to_string())),
            ("search", self.search),
        ];
        let filters: Vec<(&str, String)> =
            filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        context
            .output
            .list(&COLUMNS, &fetch(&client, &["v1", "jobs"], &filters, Walk::Cursor, self.paging).await?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// `job_…`
    job: JobId,
}

impl Show {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.output.record(&context.client()?.get(&["v1", "jobs", &self.job.to_string()], &[]).await?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Output {
    /// `job_…`
    job: JobId,
    /// Standard error instead of standard output
    #[arg(long)]
    stderr: bool,
    /// This file that it handed back
    #[arg(long, value_name = "PATH", conflicts_with = "stderr")]
    artefact: Option<String>,
}

impl Output {
    /// The bytes as they were written, whatever they are.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let job = self.job.to_string();
        let mut path = vec!["v1", "jobs", &job];
        let mut query = Vec::new();
        match &self.artefact {
            Some(artefact) => {
                path.push("artefacts");
                path.extend(artefact.split('/'));
            }
            None => {
                path.push("output");
                query.push(("stream", if self.stderr { "stderr" } else { "stdout" }.to_owned()));
            }
        }
        let mut response = client.open(&path, &query, HeaderMap::new()).await?;
        let mut out = std::io::stdout().lock();
        let broken = |error: reqwest::Error| Failure::unreachable(client.base().as_str(), cause(&error));
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            out.write_all(&piece)?;
        }
        Ok(out.flush()?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// `job_…`
    job: JobId,
}

impl Cancel {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let job = self.job.to_string();
        let answer = context.client()?.post_once(&["v1", "jobs", &job, "cancel"]).await?;
        context.output.show(&answer, |answer| match answer["state"].as_str() {
            Some("canceled") => format!("{job} is canceled"),
            _ => format!("{job} is asked to stop"),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Retry {
    /// `job_…`
    job: JobId,
}

impl Retry {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let job = self.job.to_string();
        let answer = context.client()?.post_once(&["v1", "jobs", &job, "retry"]).await?;
        context
            .output
            .show(&answer, |_| format!("{job} is queued again; `alphagate jobs follow {job}` follows it"))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// `job_…`
    job: JobId,
}

impl Delete {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let job = self.job.to_string();
        let answer = context.client()?.delete(&["v1", "jobs", &job]).await?;
        context.output.show(&answer, |_| format!("{job} is deleted"))
    }
}
