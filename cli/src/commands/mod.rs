//! What can be done: a file or a folder for each noun of the API.

mod account;
mod catalog;
mod completions;
mod credentials;
mod dev;
mod duration;
mod endpoints;
mod evals;
mod installs;
mod jobs;
mod keys;
mod login;
mod members;
mod orgs;
mod policies;
mod profiles;
mod queue;
mod quotas;
mod reference;
mod secret;
mod usage;

use crate::{context::Context, exit, failure::Failure};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep a key for later commands
    Login(login::Login),
    /// Ask for an account; a mail comes
    Signup(account::Signup),
    /// Confirm an account with the token of the mail, and log in
    Confirm(account::Confirm),
    /// Forget a profile and its key
    Logout(profiles::Logout),
    /// Say as whom commands call, and where
    Whoami,
    /// The orgs that you are in
    #[command(subcommand)]
    Orgs(orgs::Orgs),
    /// Who is in the org, and as what
    #[command(subcommand)]
    Members(members::Members),
    /// API keys: list, create, rotate, revoke
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Endpoints: from a file to live, and back
    #[command(subcommand)]
    Endpoints(Box<endpoints::Endpoints>),
    /// What versions demand of requests and answers, in revisions
    #[command(subcommand)]
    Policies(policies::Policies),
    /// Secrets of providers: written, never read back
    #[command(subcommand)]
    Credentials(credentials::Credentials),
    /// What other orgs offer
    Catalog(catalog::Catalog),
    /// Endpoints of other orgs under names of one's own
    #[command(subcommand)]
    Installs(installs::Installs),
    /// What keys, endpoints and the org may use
    #[command(subcommand)]
    Quotas(quotas::Quotas),
    /// Evals: run a file against an endpoint, and watch
    #[command(subcommand)]
    Evals(Box<evals::Evals>),
    /// Jobs: run code in a sandbox
    #[command(subcommand)]
    Jobs(Box<jobs::Jobs>),
    /// Served requests, newest first
    Usage(usage::Usage),
    /// How many jobs wait, and how fast they go
    Queue,
    /// Print the code that calls an endpoint
    Dev(dev::Dev),
    /// Print the completions of a shell
    Completions(completions::Completions),
}

impl Command {
    /// Does it, and gives the status to end with.
    pub(crate) async fn run(self, context: &Context) -> Result<u8, Failure> {
        match self {
            Self::Login(command) => command.run(context).await,
            Self::Signup(command) => command.run(context).await,
            Self::Confirm(command) => command.run(context).await,
            Self::Orgs(command) => command.run(context).await,
            Self::Members(command) => command.run(context).await,
            Self::Logout(command) => command.run(context).await,
            Self::Whoami => profiles::whoami(context).await,
            Self::Keys(command) => command.run(context).await,
            Self::Endpoints(command) => return command.run(context).await,
            Self::Policies(command) => command.run(context).await,
            Self::Credentials(command) => command.run(context).await,
            Self::Catalog(command) => command.run(context).await,
            Self::Installs(command) => command.run(context).await,
            Self::Quotas(command) => command.run(context).await,
            Self::Evals(command) => return command.run(context).await,
            Self::Jobs(command) => return command.run(context).await,
            Self::Usage(command) => command.run(context).await,
            Self::Queue => queue::show(context).await,
            Self::Dev(command) => command.run(context).await,
            Self::Completions(command) => command.run(),
        }?;
        Ok(exit::SUCCESS)
    }
}
