//! Development commands: `cargo xtask --help`.
//!
//! Invariant: everything a command needs comes from cargo, npm or pip, at versions that this repository pins.

mod agent;
mod bench;
mod debian;
mod doctor;
mod fetch;
mod gateways;
mod images;
mod isolation;
mod npm;
mod openapi;
mod portkey;
mod python;
mod python_tool;
mod run;
mod runsc;
mod steps;
mod test;
mod up;
mod worker;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Development commands of Alpha Gate.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build and start everything on this machine, with a demo endpoint, until Ctrl-C
    Up(up::Arguments),
    /// Run the whole test suite
    Test(test::Arguments),
    /// Build the Worker into target/worker
    Worker(worker::Arguments),
    /// Fetch gVisor's runsc into target/tools
    Runsc,
    /// Build the program that is PID 1 in every sandbox into target/agent
    Agent,
    /// Build the root file systems of sandboxes into target/images
    Images(images::Arguments),
    /// Write control's OpenAPI document and what is generated from it into clients/; with `--check` only compare
    Openapi(openapi::Arguments),
    /// Measure on this machine
    Bench(bench::Arguments),
    /// Say what is missing on this machine, and how to get it
    Doctor,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Up(arguments) => up::run(arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Worker(arguments) => worker::run(&arguments),
        Command::Runsc => runsc::run(),
        Command::Agent => agent::run(),
        Command::Images(arguments) => images::run(&arguments),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Doctor => doctor::run(),
    };
    finish(done)
}

fn finish(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
