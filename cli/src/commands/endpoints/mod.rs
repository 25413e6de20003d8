//! `alphagate endpoints`: from a file to live, and back.

mod apply;
mod canary;
mod compare;
mod delete;
mod diff;
mod fork;
mod gate;
mod logs;
mod publish;
mod read;
mod rollback;
mod wanted;
mod withdraw;

use crate::{context::Context, exit, failure::Failure};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Endpoints {
    /// List the org's endpoints
    List(read::List),
    /// Show an endpoint
    Show(read::Show),
    /// Make an endpoint and its next version be as a file says; does nothing if they are
    Apply(apply::Apply),
    /// Show what `apply` would change; status 1 if it would
    Diff(diff::Diff),
    /// List an endpoint's versions, or show one with its configuration
    Versions(read::Versions),
    /// Make a version live
    Publish(publish::Publish),
    /// Make live again what was live before
    Rollback(rollback::Rollback),
    /// List an endpoint's publications, or show one
    Publications(read::Publications),
    /// Try a version on a share of the keys
    #[command(subcommand)]
    Canary(canary::Canary),
    /// Show what an endpoint's gate demands, or say it
    Gate(gate::Gate),
    /// Show an endpoint's served requests, as they come
    Logs(logs::Logs),
    /// Take an endpoint away from everybody, for good
    Withdraw(withdraw::Withdraw),
    /// Withdraw an endpoint, and give its name back
    Delete(delete::Delete),
    /// Make an endpoint after another one
    Fork(fork::Fork),
    /// List the templates, show one, or make an endpoint after one
    Templates(fork::Templates),
}

impl Endpoints {
    pub(crate) async fn run(self, context: &Context) -> Result<u8, Failure> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Versions(command) => command.run(context).await,
            Self::Publications(command) => command.run(context).await,
            Self::Gate(command) => command.run(context).await,
            Self::Logs(command) => command.run(context).await,
            Self::Withdraw(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
            Self::Fork(command) => command.run(context).await,
            Self::Templates(command) => command.run(context).await,
            Self::Apply(command) => return command.run(context).await,
            Self::Diff(command) => return command.run(context).await,
            Self::Publish(command) => return command.run(context).await,
            Self::Rollback(command) => return command.run(context).await,
            Self::Canary(command) => return command.run(context).await,
        }?;
        Ok(exit::SUCCESS)
    }
}
