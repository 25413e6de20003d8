//! `alphagate endpoints delete`: gone for good, so it asks.

use super::withdraw::confirmed;
use crate::{
    commands::reference::{endpoint, id},
    context::Context,
    failure::Failure,
};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Its id or name
    endpoint: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Delete {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let found = endpoint(&client, &self.endpoint).await?;
        let name = found["name"].as_str().unwrap_or_default();
        if !self.yes && !confirmed(context, name, "deleting")? {
            return Err(Failure::said("not deleted"));
        }
        let answer = client.delete(&["v1", "endpoints", id(&found)?]).await?;
        context.output.show(&answer, |_| format!("{name} is deleted: it serves nobody, and its name is free"))
    }
}
