//! `cargo xtask bench`: measurements on this machine, as tables on the terminal and in target/bench.

use std::fs;
use std::process::ExitCode;

use alphagate_bed::places;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::{isolation, run, steps};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How fast sandboxes start and jobs end, with each engine and with a plain process
    Runner,
}

/// The command `bench`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match arguments.what {
        What::Runner => runner(),
    }
}

fn runner() -> Result<ExitCode> {
    println!("Preparing");
    let Some(isolation) = isolation::prepare() else {
        bail!("there is nothing to measure without sandboxes")
    };
    let folder = places::target()?.join("bench");
    fs::create_dir_all(&folder)?;
    let report = folder.join("runner.md");
    let mut cargo = run::cargo()?;
    cargo.args(["bench", "--package", "alphagate-runner", "--bench", "engines"]).args(run::quiet());
    isolation.tell(&mut cargo);
    cargo.env("AG_BENCH_REPORT", &report);
    steps::step("measuring", || run::visibly(&mut cargo))?;
    println!("            {}", report.display());
    Ok(ExitCode::SUCCESS)
}
