//! `alphagate-runner`: serve, doctor, self-test. Logs are JSON lines on stderr.

use alphagate_runner::{
    doctor, host,
    lease::TokenRefused,
    sandbox::BootError,
    serve,
    settings::{HostSettings, Settings},
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Exit status when the host cannot isolate: `EX_UNAVAILABLE` of sysexits.
const EXIT_UNAVAILABLE: u8 = 69;
/// Exit status when control does not accept the token: `EX_NOPERM` of sysexits.
const EXIT_REFUSED: u8 = 77;

#[derive(Parser)]
#[command(
    name = "alphagate-runner",
    version,
    about = "Takes jobs from control and runs each in a sandbox of its own"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take jobs until told to leave: SIGTERM finishes what is held, a second one ends it at once.
    Serve(Box<Settings>),
    /// Say what this host can isolate, and what is missing; status 69 if it cannot run jobs.
    Doctor {
        /// For programs: JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: Box<HostSettings>,
    },
    /// Boot one sandbox, throw it away, and print what isolated it.
    SelfTest(Box<HostSettings>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("AG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .init();
    match run(cli.command).await {
        Ok(status) => status,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(settings) => serve::run(*settings).await?,
        Command::Doctor { json, host } => return examine(json, &host).await,
        Command::SelfTest(settings) => {
            let host = host::prepare(&settings).await?;
            println!("{}", serde_json::to_string_pretty(&host.isolation)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn examine(json: bool, settings: &HostSettings) -> anyhow::Result<ExitCode> {
    let found = doctor::examine(host::patient(settings).await).await;
    println!("{}", if json { serde_json::to_string_pretty(&found)? } else { found.to_string() });
    Ok(if found.is_fit { ExitCode::SUCCESS } else { EXIT_UNAVAILABLE.into() })
}

/// Says why, and gives the exit status for it.
fn failed(error: &anyhow::Error) -> ExitCode {
    let text = format!("{error:#}");
    if let Some(boot) = error.downcast_ref::<BootError>() {
        tracing::error!(
            code = boot.code(),
            error = text,
            "this host cannot isolate; `alphagate-runner doctor` says more"
        );
        return EXIT_UNAVAILABLE.into();
    }
    if error.is::<TokenRefused>() {
        tracing::error!(code = "token_refused", error = text, "not registered");
        return EXIT_REFUSED.into();
    }
    tracing::error!(error = text, "failed");
    ExitCode::FAILURE
}
