//! `alphagate jobs run` and `follow`: a job as if it ran here.

use super::{body::Source, ending::status, stream::to_the_end};
use crate::{client::Client, commands::reference::id, context::Context, exit, failure::Failure, table};
use alphagate_contract::id::JobId;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate jobs run script.py
  alphagate jobs run --timeout 5m --memory 512 solve.js -- --seed 7
  alphagate jobs run --stdin - count.sh < words.txt
  alphagate jobs run --artefact plot.png draw.py --json | jq -r .id

It ends with the job's own status; with 124 if its time is up, 128 and the signal's number if a signal ended it, and 125 \
if its code came to no end of its own or there is no answer. An interruption stops the job.")]
pub(crate) struct Run {
    #[command(flatten)]
    source: Source,
    /// Hand the job in and leave it alone
    #[arg(long)]
    detach: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Follow {
    /// `job_…`
    job: JobId,
}

impl Run {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        // What cannot be handed in is a wrong command line; after that, no status of ours may look like the job's.
        let body = self.source.body()?;
        let client = context.client()?;
        let ended = async {
            let job = client.post(&["v1", "jobs"], &body).await?;
            let id = id(&job)?;
            if self.detach {
                let hint = format!("alphagate jobs follow {id}");
                context.output.show(&job, |_| format!("{id}\n`{hint}` follows it"))?;
                return Ok(exit::SUCCESS);
            }
            finish(context, &client, id).await
        };
        ended.await.map_err(|failure: Failure| failure.ends_with(exit::JOB_TROUBLE))
    }
}

impl Follow {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let client = context.client()?;
        let ended = finish(context, &client, &self.job.to_string()).await;
        ended.map_err(|failure| failure.ends_with(exit::JOB_TROUBLE))
    }
}

async fn finish(context: &Context, client: &Client, id: &str) -> Result<u8, Failure> {
    let job = to_the_end(context, client, id).await?;
    let (status, word) = status(&job);
    if context.output.is_json() {
        context.output.document(&job)?;
    } else if let Some(word) = word {
        context.output.note(&format!("{id}: {}", table::plain(&word)));
    }
    Ok(status)
}
