//! `cargo xtask bench`: measurements on this machine, as tables on the terminal and in target/bench.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use alphagate_bed::places;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::{gateways, isolation, run, steps};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How fast sandboxes start and jobs end, with each engine and with a plain process
    Runner,
    /// What the edge costs a request and an event, beside a bare Worker and other gateways
    Edge(Edge),
    /// What the admin API takes with 100,000 jobs, 1,000,000 usage events and 10,000 endpoints in the database
    Control(Control),
}

#[derive(Debug, Args)]
struct Control {
    /// A fiftieth of the rows, and seconds of load
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Args)]
struct Edge {
    /// One short round, a minute in all
    #[arg(long)]
    quick: bool,
    /// Memory after 100,000 requests and 1,000 aborted streams; minutes more
    #[arg(long)]
    memory: bool,
    /// Only these: floor, pump, strict (or edge), installed, leased, litellm, portkey
    #[arg(long, value_delimiter = ',', value_name = "SUBJECTS")]
    only: Vec<String>,
}

impl Edge {
    fn has(&self, subject: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == subject)
    }

    /// As the benchmark itself reads them.
    fn arguments(&self) -> Vec<String> {
        let flags = [(self.quick, "--quick"), (self.memory, "--memory")];
        let mut all: Vec<String> =
            flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag.to_owned()).collect();
        if !self.only.is_empty() {
            all.push(format!("--only={}", self.only.join(",")));
        }
        all
    }
}

/// The command `bench`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.what {
        What::Runner => runner(),
        What::Edge(arguments) => edge(arguments),
        What::Control(arguments) => control(arguments),
    }
}

fn runner() -> Result<ExitCode> {
    println!("Preparing");
    let Some(isolation) = isolation::prepare(isolation::fetch()) else {
        bail!("there is nothing to measure without sandboxes")
    };
    let folder = folder()?;
    let report = folder.join("runner.md");
    let mut cargo = run::cargo()?;
    cargo.args(["bench", "--package", "alphagate-runner", "--bench", "engines"]).args(run::quiet());
    isolation.tell(&mut cargo);
    cargo.env("AG_BENCH_REPORT", &report);
    steps::step("measuring", || run::visibly(&mut cargo))?;
    println!("            {}", report.display());
    Ok(ExitCode::SUCCESS)
}

fn edge(arguments: &Edge) -> Result<ExitCode> {
    println!("Preparing");
    steps::packages()?;
    steps::worker()?;
    let folder = folder()?;
    let mut cargo = run::cargo()?;
    // Only the release build of control takes so little of the processors that it disturbs nobody.
    cargo.env("AG_CONTROL_BIN", control_in_release()?);
    if arguments.has("litellm") {
        cargo.env("AG_LITELLM", steps::step("LiteLLM", || gateways::litellm(&folder))?);
    }
    if arguments.has("portkey") {
        cargo.env("AG_PORTKEY", steps::step("Portkey", || gateways::portkey(&folder))?);
    }
    cargo.args(["bench", "--package", "alphagate-tests", "--bench", "edge"]).args(run::quiet());
    cargo.arg("--").args(arguments.arguments());
    cargo.env("AG_BENCH_FOLDER", &folder);
    steps::step("measuring", || run::visibly(&mut cargo))?;
    println!("            {}", folder.join("edge.md").display());
    println!("            {}", folder.join("edge.svg").display());
    Ok(ExitCode::SUCCESS)
}

fn control(arguments: &Control) -> Result<ExitCode> {
    println!("Preparing");
    steps::packages()?;
    steps::worker()?;
    let folder = folder()?;
    let mut cargo = run::cargo()?;
    cargo.env("AG_CONTROL_BIN", control_in_release()?);
    cargo.args(["bench", "--package", "alphagate-tests", "--bench", "control"]).args(run::quiet());
    cargo.arg("--").args(arguments.quick.then_some("--quick"));
    cargo.env("AG_BENCH_FOLDER", &folder);
    steps::step("measuring", || run::visibly(&mut cargo))?;
    println!("            {}", folder.join("control.md").display());
    Ok(ExitCode::SUCCESS)
}

/// The release build of control.
fn control_in_release() -> Result<PathBuf> {
    steps::step("control", || {
        let mut cargo = run::cargo()?;
        run::visibly(cargo.args(["build", "--release", "--package", "alphagate-control"]).args(run::quiet()))
    })?;
    Ok(places::target()?.join("release/alphagate-control"))
}

/// Where reports are written.
fn folder() -> Result<PathBuf> {
    let folder = places::target()?.join("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
