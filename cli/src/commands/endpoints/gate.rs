//! `alphagate endpoints gate`: the evals that a version has to pass before it goes live.

use crate::{
    commands::reference::{endpoint, id},
    context::Context,
    document::{Assignment, Document},
    failure::Failure,
};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate endpoints gate haiku
  alphagate endpoints gate haiku -f gate.yaml      # needs a key with the scopes `admin` and `gate`")]
pub(crate) struct Gate {
    /// Its id or name
    endpoint: String,
    /// Say it anew: YAML or JSON with `evals` and `deadline_s`; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set a member of the document
    #[arg(long, value_name = "PATH=VALUE", requires = "file")]
    set: Vec<Assignment>,
}

impl Gate {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let endpoint = endpoint(&client, &self.endpoint).await?;
        let path = ["v1", "endpoints", id(&endpoint)?, "gate"];
        let gate = match self.file {
            None => client.get(&path, &[]).await?,
            Some(file) => {
                let document = Document::read(&file, &self.set)?;
                let answer = client.put(&path, &document.value).await;
                answer.map_err(|failure| document.locate("", failure))?
            }
        };
        context.output.document(&gate)
    }
}
