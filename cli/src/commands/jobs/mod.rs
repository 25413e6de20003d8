//! `alphagate jobs`: code in a sandbox.

mod body;
mod ending;
mod read;
mod run;
mod stream;

use crate::{context::Context, exit, failure::Failure};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// Run a file in a sandbox, follow what it writes, and end with its status
    Run(run::Run),
    /// Follow a job to its end, and end with its status
    Follow(run::Follow),
    /// List the org's jobs, newest first
    List(read::List),
    /// Show a job
    Show(read::Show),
    /// Print what a job wrote, or a file that it handed back
    Output(read::Output),
    /// Stop a job
    Cancel(read::Cancel),
    /// Run an ended job again
    Retry(read::Retry),
    /// Forget an ended job
    Delete(read::Delete),
}

impl Jobs {
    pub(crate) async fn run(self, context: &Context) -> Result<u8, Failure> {
        match self {
            Self::Run(command) => return command.run(context).await,
            Self::Follow(command) => return command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Output(command) => command.run(context).await,
            Self::Cancel(command) => command.run(context).await,
            Self::Retry(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
        }?;
        Ok(exit::SUCCESS)
    }
}
