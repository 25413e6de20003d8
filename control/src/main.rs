//! `alphagate-control`: serve, migrate, keygen, audit, vault. Logs are JSON lines on stderr.

use alphagate_control::{
    audit::command, keygen, log, openapi, platform::Host, serve, settings::Settings, store, vault,
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "alphagate-control", version, about = "The control plane of Alpha Gate")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the admin API, and push to the edge.
    Serve(Box<Settings>),
    /// Apply missing migrations, as the owner of the database.
    Migrate {
        /// Postgres login that owns the database and may create roles.
        #[arg(long, env = "AG_OWNER_DATABASE_URL", hide_env_values = true)]
        database_url: String,
    },
    /// Print fresh secrets for a new installation, as KEY=VALUE lines.
    Keygen,
    /// Print the OpenAPI document that `GET /v1/openapi.json` serves.
    Openapi,
    /// Look after the audit trail.
    Audit {
        #[command(subcommand)]
        command: command::Audit,
    },
    /// Look after the keys that everything secret is under.
    Vault {
        #[command(subcommand)]
        command: vault::command::Vault,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = log::start();
    let done = tokio::select! {
        done = run(cli.command) => done,
        () = log.watch() => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "failed");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(settings) => serve::run(*settings).await,
        Command::Audit { command } => command::run(command).await,
        Command::Vault { command } => vault::command::run(command).await,
        Command::Migrate { database_url } => store::migrate(&database_url).await,
        Command::Keygen => {
            keygen::lines(&Host).iter().for_each(|line| println!("{line}"));
            Ok(())
        }
        Command::Openapi => {
            print!("{}", openapi::text());
            Ok(())
        }
    }
}
