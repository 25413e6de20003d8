//! `cargo xtask bench control`: what the admin API takes for a list, a search, a read and a creation, with a database as full
//! as that of an installation that has been used for months.
//!
//! Invariant: the load is open: a request is due at its time, whatever became of those before it, and its latency counts from
//! that time, so nothing waits unseen. What a request costs that does nothing is measured in the same run.

#[path = "control/fill.rs"]
mod fill;
#[path = "control/kinds.rs"]
mod kinds;
#[path = "control/load.rs"]
mod load;
#[path = "edge/meter.rs"]
#[expect(dead_code, reason = "memory is weighed by the edge's benchmark")]
mod meter;
#[path = "control/scene.rs"]
mod scene;
#[path = "control/table.rs"]
mod table;

use alphagate_bed::{Bed, Options};
use anyhow::Result;
use clap::Parser;
use fill::Sizes;
use meter::Meter;
use scene::Scene;
use std::{env, fs, path::PathBuf, time::Duration};

/// Requests that are due in a second.
const RATE: u32 = 50;
/// Before it is measured: connections open, caches fill.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long it is measured.
const MEASURED: Duration = Duration::from_secs(60);
/// The same, for a short look.
const MEASURED_QUICK: Duration = Duration::from_secs(8);

/// Measures the admin API.
#[derive(Debug, Parser)]
struct Arguments {
    /// A fiftieth of the rows, and seconds of load
    #[arg(long)]
    quick: bool,
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let markdown = runtime.block_on(run(&arguments))?;
    println!("\n{markdown}");
    if let Some(folder) = env::var_os("AG_BENCH_FOLDER").map(PathBuf::from) {
        fs::write(folder.join("control.md"), markdown)?;
    }
    Ok(())
}

async fn run(arguments: &Arguments) -> Result<String> {
    let (sizes, measured) =
        if arguments.quick { (Sizes::QUICK, MEASURED_QUICK) } else { (Sizes::FULL, MEASURED) };
    println!("starting the stack");
    let bed = Bed::start(Options::default()).await?;
    let orgs = scene::orgs(&bed).await?;
    fill::all(bed.database(), &orgs, &sizes).await?;
    let scene = Scene::look(&bed, orgs).await?;
    fill::tell_slow_statements(bed.database()).await?;
    // A new control: its connections tell slow statements from the first on.
    bed.stop_control().await;
    bed.start_control().await?;
    println!("warming up for {} s", WARM_UP.as_secs());
    load::run(&scene, RATE, WARM_UP).await?;
    let before = table::Slow::so_far(&bed);
    let meter = Meter::of_group(bed.control_pid().await?)?;
    let cpu = meter.cpu();
    println!("measuring for {} s, {RATE} requests/s", measured.as_secs());
    let mut loaded = load::run(&scene, RATE, measured).await?;
    loaded.cpu = meter.cpu().saturating_sub(cpu);
    let slow = table::Slow::since(&bed, before);
    let markdown = table::markdown(&loaded, &sizes, RATE, &slow);
    bed.stop().await;
    Ok(markdown)
}
