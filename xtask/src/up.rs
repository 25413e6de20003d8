//! `cargo xtask up`: everything on this machine, with a demo to call, until Ctrl-C.
//!
//! Invariant: target/up.json is there exactly as long as everything answers.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use alphagate_bed::{Bed, Demo, Options, Ports, Progress, Runner, RunnerOptions, places};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::isolation::{self, Isolation};
use crate::steps;

/// Ports that people find in README; another free one is taken when a program sits there.
const EDGE_PORT: u16 = 8787;
const CONTROL_PORT: u16 = 8080;
const PROVIDER_PORT: u16 = 8989;
/// A sandbox computes, a sample waits.
const SANDBOX_SLOTS: u32 = 4;
const SAMPLE_SLOTS: u32 = 16;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Forget what earlier runs stored: database, keys, the edge's state
    #[arg(long)]
    fresh: bool,
    /// Port of the edge [default: 8787, or a free one]
    #[arg(long, value_name = "PORT")]
    edge_port: Option<u16>,
    /// Port of the control plane [default: 8080, or a free one]
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
    /// Port of the fake provider [default: 8989, or a free one]
    #[arg(long, value_name = "PORT")]
    provider_port: Option<u16>,
}

/// The command `up`.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let begun_at = Instant::now();
    let announcement = Announcement::none_yet()?;
    println!("Starting Alpha Gate");
    steps::packages()?;
    let fetched = steps::aside(isolation::fetch);
    steps::worker()?;
    steps::programs()?;
    let isolation = isolation::prepare(fetched.join()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(until_stopped(&arguments, isolation, &announcement, begun_at))?;
    Ok(ExitCode::SUCCESS)
}

async fn until_stopped(
    arguments: &Arguments,
    isolation: Option<Isolation>,
    announcement: &Announcement,
    begun_at: Instant,
) -> Result<()> {
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let (bed, runner, demo) = tokio::select! {
        // Dropping what has started so far ends it.
        () = &mut stop => return Ok(()),
        started = start(arguments, isolation) => started?,
    };
    announcement.publish(&bed, &demo)?;
    println!("Ready after {:.1} s\n\n{}", begun_at.elapsed().as_secs_f64(), how_to_call(&bed, &demo));
    stop.await;
    println!("\nStopping");
    announcement.withdraw();
    if let Some(runner) = runner {
        runner.stop_at_once().await;
    }
    bed.stop().await;
    Ok(())
}

async fn start(arguments: &Arguments, isolation: Option<Isolation>) -> Result<(Bed, Option<Runner>, Demo)> {
    let data = places::workspace()?.join("target/up");
    if arguments.fresh {
        Bed::wipe(&data).await?;
    }
    let ports = Ports {
        edge: port(arguments.edge_port, EDGE_PORT),
        control: port(arguments.control_port, CONTROL_PORT),
        provider: port(arguments.provider_port, PROVIDER_PORT),
        postgres: None,
    };
    let progress = Progress::new(steps::tell);
    let bed = Bed::start(Options { data_dir: Some(data), ports, progress, ..Options::default() }).await?;
    let seeding_at = Instant::now();
    let demo = bed.demo().await.context("the demo could not be made")?;
    bed.demo_answers(&demo).await.context("the demo does not answer")?;
    steps::tell("demo", seeding_at.elapsed());
    let runner = match isolation {
        Some(isolation) => runner(&bed, &demo, isolation).await,
        None => None,
    };
    Ok((bed, runner, demo))
}

/// A runner, and version 2 of the demo sent through its gate. Without gVisor the rest works all the same.
async fn runner(bed: &Bed, demo: &Demo, isolation: Isolation) -> Option<Runner> {
    let begun_at = Instant::now();
    let options = RunnerOptions::new("local", SANDBOX_SLOTS, SAMPLE_SLOTS)
        .var("AG_RUNSC", isolation.runsc.display())
        .var("AG_AGENT", isolation.agent.display())
        .var("AG_IMAGES", isolation.images.display());
    let runner = match bed.start_runner(options).await {
        Ok(runner) => runner,
        Err(error) => {
            println!("            no runner, so no jobs, evals or gates: {error:#}");
            return None;
        }
    };
    steps::tell("runner", begun_at.elapsed());
    let begun_at = Instant::now();
    match bed.demo_gate(demo).await {
        Ok(ended) => steps::tell(&format!("gate: version 2 of the demo is {ended}"), begun_at.elapsed()),
        Err(error) => println!("            the demo's gate could not be made: {error:#}"),
    }
    Some(runner)
}

/// Returns when the terminal or the system wants us to end.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// The port that was asked for, else the usual one if nobody sits there.
fn port(asked: Option<u16>, usual: u16) -> Option<u16> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, usual)).is_ok();
    asked.filter(|port| *port != 0).or_else(|| (asked.is_none() && free()).then_some(usual))
}

/// target/up.json: what others need to find us. Removed when this is dropped.
#[derive(Debug)]
struct Announcement {
    path: PathBuf,
}

impl Announcement {
    /// One from an earlier run that was killed is removed.
    fn none_yet() -> Result<Self> {
        let target = places::workspace()?.join("target");
        fs::create_dir_all(&target)?;
        let announcement = Self { path: target.join("up.json") };
        announcement.withdraw();
        Ok(announcement)
    }

    fn publish(&self, bed: &Bed, demo: &Demo) -> Result<()> {
        let text = json!({
            "edge": bed.edge_url(),
            "control": bed.control_url(),
            "provider": bed.provider().url(),
            "admin_key": demo.admin_key,
            "api_key": demo.api_key,
            "endpoint": demo.endpoint,
            "publisher_admin_key": demo.publisher_admin_key,
        });
        // Renamed into place: a reader never sees half of it.
        let draft = self.path.with_extension("json.draft");
        places::write_secret(&draft, &format!("{text:#}\n"))?;
        Ok(fs::rename(draft, &self.path)?)
    }

    fn withdraw(&self) {
        // It may not be there.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.withdraw();
    }
}

fn how_to_call(bed: &Bed, demo: &Demo) -> String {
    let (edge, control) = (bed.edge_url(), bed.control_url());
    let provider = bed.provider().url();
    let (key, model, data) = (&demo.api_key, &demo.endpoint, shown(bed.data_dir()));
    let admin_key = &demo.admin_key;
    format!(
        r#"  edge      {edge}/v1
  control   {control}
  provider  {provider} (a fake one)
  keys      target/up.json; logs and secrets in {data}

Python (pip install openai):

    from openai import OpenAI

    client = OpenAI(base_url="{edge}/v1", api_key="{key}")
    print(client.responses.create(model="{model}", input="rain").output_text)

    for event in client.responses.create(model="{model}", input="rain", stream=True):
        if event.type == "response.output_text.delta":
            print(event.delta, end="", flush=True)

curl:

    curl {edge}/v1/responses -H "Authorization: Bearer {key}" \
      -H "Content-Type: application/json" -d '{{"model": "{model}", "input": "rain"}}'

    curl -N {edge}/v1/responses -H "Authorization: Bearer {key}" \
      -H "Content-Type: application/json" -d '{{"model": "{model}", "input": "rain", "stream": true}}'

The CLI, as the org that installed it:

    export ALPHAGATE_URL={control} ALPHAGATE_EDGE_URL={edge} ALPHAGATE_KEY={admin_key}
    cargo run -qp alphagate-cli -- dev {model}

Ctrl-C ends everything."#
    )
}

fn shown(path: &Path) -> String {
    let root = places::workspace().unwrap_or_default();
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
