//! `cargo xtask bench edge`: what our edge costs a request, a stream and an event, beside a bare Worker in the same
//! harness, and beside other gateways, all in front of the same provider.
//!
//! Invariant: subjects take turns within one run, so that all of them meet the same machine; everything is bounded in
//! number and in time, stays on this machine, and ends with the run.

#[path = "edge/client.rs"]
mod client;
#[path = "edge/gateways.rs"]
mod gateways;
#[path = "edge/measure.rs"]
mod measure;
#[path = "edge/meter.rs"]
mod meter;
#[path = "edge/plan.rs"]
mod plan;
#[path = "edge/plot.rs"]
mod plot;
#[path = "edge/provider.rs"]
mod provider;
#[path = "edge/script.rs"]
mod script;
#[path = "edge/stack.rs"]
mod stack;
#[path = "edge/subject.rs"]
mod subject;
#[path = "edge/table.rs"]
mod table;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum as _};
use measure::Measured;
use plan::Plan;
use stack::Stack;
use std::{env, fs, path::PathBuf};
use subject::{Kind, Subject};

/// Measures the edge.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these, and the provider itself
    #[arg(long, value_delimiter = ',', value_name = "SUBJECTS")]
    only: Vec<Kind>,
    /// One short round
    #[arg(long)]
    quick: bool,
    /// Memory after 100,000 requests and 1,000 aborted streams, instead of some thousands and a hundred
    #[arg(long)]
    memory: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    // `cargo test --all-targets` runs benches, too; this one only when it is asked for.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let arguments = Arguments::parse();
    // One thread: clients of one runtime do not wait for each other, and two processors are few.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (markdown, svg) = runtime.block_on(run(&arguments))?;
    println!("\n{markdown}");
    if let Some(folder) = env::var_os("AG_BENCH_FOLDER").map(PathBuf::from) {
        fs::write(folder.join("edge.md"), markdown)?;
        fs::write(folder.join("edge.svg"), svg)?;
    }
    Ok(())
}

/// The table and the plot.
async fn run(arguments: &Arguments) -> Result<(String, String)> {
    let plan = Plan::new(arguments.quick, arguments.memory);
    let provider = provider::start()?;
    let mut stack = None;
    let subjects = start(&wanted(arguments), provider, &mut stack).await;
    let measured = measure::all(&subjects, &plan).await;
    for subject in subjects {
        subject.stop().await;
    }
    if let Some(stack) = stack {
        stack.stop().await;
    }
    let measured: Vec<Measured> = measured?;
    Ok((table::markdown(&measured, &plan), plot::svg(&measured)))
}

/// In the table's order; the provider itself always, because what a gateway adds is counted from it.
fn wanted(arguments: &Arguments) -> Vec<Kind> {
    let chosen = |kind: &Kind| match kind {
        Kind::Direct => true,
        // A second look at one cost, not a subject of its own.
        Kind::Installed => arguments.only.contains(kind),
        _ => arguments.only.is_empty() || arguments.only.contains(kind),
    };
    Kind::value_variants().iter().copied().filter(chosen).collect()
}

async fn start(kinds: &[Kind], provider: std::net::SocketAddr, stack: &mut Option<Stack>) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for kind in kinds {
        println!("starting: {}", kind.name());
        match works(Subject::start(*kind, provider, stack).await).await {
            Ok(subject) => subjects.push(subject),
            Err(error) => println!("{}: left out: {error:#}", kind.name()),
        }
    }
    subjects
}

/// A subject that answers.
async fn works(subject: Result<Subject>) -> Result<Subject> {
    let subject = subject?;
    let asked = client::ask(&subject.door, 0, 1, plan::FIRST_ANSWER_MAX, 1).await?;
    if asked.times.is_empty() {
        let why = asked.why.unwrap_or_default();
        subject.stop().await;
        bail!("it does not answer: {why}");
    }
    Ok(subject)
}
