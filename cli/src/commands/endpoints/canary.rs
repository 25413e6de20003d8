//! `alphagate endpoints canary`: a version on a share of the keys, under the same gate.

use super::publish::{Manner, publish_canary, text};
use crate::{
    commands::reference::{endpoint, id},
    context::Context,
    exit,
    failure::Failure,
};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Canary {
    /// Serve a version to a share of the keys
    #[command(
        after_help = "Example:\n  alphagate endpoints canary start haiku --version 4 --percent 5 --wait"
    )]
    Start {
        /// Its id or name
        endpoint: String,
        /// The version
        #[arg(long, value_name = "N")]
        version: u64,
        /// The share of keys, 1 to 99
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
        percent: u8,
        #[command(flatten)]
        manner: Manner,
    },
    /// Serve what is live to everybody again
    Stop {
        /// Its id or name
        endpoint: String,
    },
}

impl Canary {
    pub(super) async fn run(self, context: &Context) -> Result<u8, Failure> {
        let client = context.client()?;
        match self {
            Self::Start { endpoint: name, version, percent, manner } => {
                let endpoint = endpoint(&client, &name).await?;
                let wanted = (version, percent);
                let (publication, status) =
                    publish_canary(context, &client, &endpoint, wanted, manner).await?;
                context.output.show(&publication, text)?;
                Ok(status)
            }
            Self::Stop { endpoint: name } => {
                let found = endpoint(&client, &name).await?;
                let answer = client.delete(&["v1", "endpoints", id(&found)?, "canary"]).await?;
                context.output.show(&answer, |_| format!("{name} has no canary"))?;
                Ok(exit::SUCCESS)
            }
        }
    }
}
