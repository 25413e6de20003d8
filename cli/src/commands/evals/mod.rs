//! `alphagate evals`: what endpoints are measured by, and the runs that measure them.

mod data;
mod definition;
mod junit;
mod read;
mod report;
mod run;
mod verdict;
mod watch;

use crate::{context::Context, exit, failure::Failure};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Evals {
    /// Run an eval from a file against an endpoint, and watch: status 0, 1 or 2 by its verdict
    Run(run::Run),
    /// List the org's evals, newest first
    List(read::List),
    /// Show an eval with its graders
    Show(read::Show),
    /// List an eval's runs, or show one
    Runs(read::Runs),
    /// List the output items of a run
    Items(read::Items),
    /// Watch a run to its end: status 0, 1 or 2 by its verdict
    Watch(run::Watch),
    /// Stop a run
    Cancel(read::Cancel),
    /// Delete an eval with its runs
    Delete(read::Delete),
}

impl Evals {
    pub(crate) async fn run(self, context: &Context) -> Result<u8, Failure> {
        match self {
            Self::Run(command) => return command.run(context).await,
            Self::Watch(command) => return command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Runs(command) => command.run(context).await,
            Self::Items(command) => command.run(context).await,
            Self::Cancel(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
        }?;
        Ok(exit::SUCCESS)
    }
}
