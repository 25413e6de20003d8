//! `alphagate endpoints withdraw`: there is no way back, so it asks.

use crate::{
    commands::reference::{endpoint, id},
    context::Context,
    failure::Failure,
};
use clap::Args;
use serde_json::json;
use std::io::IsTerminal as _;

#[derive(Debug, Args)]
pub(crate) struct Withdraw {
    /// Its id or name
    endpoint: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Withdraw {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let client = context.client()?;
        let found = endpoint(&client, &self.endpoint).await?;
        let name = found["name"].as_str().unwrap_or_default();
        if !self.yes && !confirmed(context, name, "withdrawing")? {
            return Err(Failure::said("not withdrawn"));
        }
        let answer = client.post(&["v1", "endpoints", id(&found)?, "withdraw"], &json!({})).await?;
        context.output.show(&answer, |_| format!("{name} is withdrawn: it serves nobody any more"))
    }
}

/// Whether somebody at a terminal means it.
pub(super) fn confirmed(context: &Context, name: &str, doing: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let said = format!("{doing} an endpoint is for good");
        return Err(Failure::said(said).hint("--yes says that it is meant"));
    }
    context.output.note(&format!("`{name}` will serve nobody any more, for good. Type its name to go on:"));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == name)
}
