//! The command line: what is common to all commands, and the list of them.

use crate::commands::Command;
use clap::{Args, Parser};

/// What `--help` ends with.
const EXAMPLES: &str = "\
Examples:
  alphagate login --url https://control.example.com        # asks for the key
  alphagate endpoints apply -f endpoint.yaml --publish     # from git to live; a second time nothing happens
  alphagate evals run -f eval.yaml --model poet --junit report.xml
  alphagate jobs run script.py < input.txt
  alphagate keys list --json | jq -r '.data[].id'

Exit status: 0 if all is well, 1 if the answer is no (items failed, a gate was missed, documents differ), 2 if there is \
no answer (a wrong command, a refused call, an outage). `jobs run` ends with the job's own status.";

#[derive(Debug, Parser)]
#[command(
    name = "alphagate",
    version,
    about = "Publishes LLM endpoints, proves them with evals, and runs jobs, by Alpha Gate's API",
    after_help = EXAMPLES,
    max_term_width = 110
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print JSON for programs, not tables
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The profile of the config file [default: the one that logged in last]
    #[arg(long, global = true, value_name = "NAME", env = "ALPHAGATE_PROFILE")]
    pub(crate) profile: Option<String>,
    /// Where control is [default: the profile's]
    #[arg(long, global = true, value_name = "URL", env = "ALPHAGATE_URL")]
    pub(crate) url: Option<String>,
    /// Where consumers call, without `/v1` [default: the profile's]
    #[arg(long, global = true, value_name = "URL", env = "ALPHAGATE_EDGE_URL")]
    pub(crate) edge_url: Option<String>,
    /// The API key; others on this machine can see it here, so rather set the variable [default: the profile's]
    #[arg(long, global = true, value_name = "KEY", env = "ALPHAGATE_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// The org, where the bearer is a person's and not a key [default: the profile's]
    #[arg(long, global = true, value_name = "ORG", env = "ALPHAGATE_ORG")]
    pub(crate) org: Option<String>,
}
