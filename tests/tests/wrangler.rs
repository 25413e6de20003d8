//! Cloudflare's own tool serves the same Worker: `wrangler dev`, by the README's steps.

use std::{
    fs::File,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use alphagate_bed::{Bed, Scratch, places};
use alphagate_tests::{Caller, Stage};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

/// wrangler bundles, starts workerd and opens its port; a cold cache takes seconds.
const READY_MAX: Duration = Duration::from_secs(60);
/// The secrets that `wrangler.toml` names.
const SECRETS: [&str; 4] =
    ["AG_KEY_RING", "AG_CONTROL_TO_EDGE_RING", "AG_EDGE_TO_CONTROL_RING", "AG_SEAL_PRIVATE_KEYS"];

/// `wrangler dev` with all that it starts; ended as a group.
struct Wrangler(Child);

impl Drop for Wrangler {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

fn start(bed: &Bed, scratch: &Path, port: u16) -> Result<Wrangler> {
    let secrets: Result<Vec<String>> =
        SECRETS.iter().map(|name| Ok(format!("{name}={}", bed.secrets().get(name)?))).collect();
    std::fs::write(scratch.join("secrets"), secrets?.join("\n"))?;
    let log = File::create(scratch.join("log"))?;
    let child = Command::new(places::node()?)
        .arg(places::workspace()?.join("node_modules/wrangler/bin/wrangler.js"))
        .args([
            "dev",
            "--ip",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--show-interactive-dev-session=false",
        ])
        .args(["--var", &format!("AG_CONTROL_URL:{}", bed.control_url())])
        .arg("--env-file")
        .arg(scratch.join("secrets"))
        .arg("--persist-to")
        .arg(scratch.join("state"))
        .current_dir(places::workspace()?)
        .env("WRANGLER_SEND_METRICS", "false")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    Ok(Wrangler(child))
}

async fn ready(http: &reqwest::Client, url: &str, scratch: &Path) -> Result<()> {
    let start = Instant::now();
    while !http.get(format!("{url}/healthz")).send().await.is_ok_and(|answer| answer.status() == 200) {
        if start.elapsed() > READY_MAX {
            bail!("wrangler dev is not ready: {}", std::fs::read_to_string(scratch.join("log"))?);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test]
async fn wrangler_dev_serves_the_worker_by_the_readmes_steps() -> Result<()> {
    let bed = Bed::shared().await?;
    let stage = Stage::new(bed, json!({"instructions": "Be brief."})).await?;
    let scratch = Scratch::new()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let _wrangler = start(bed, scratch.path(), port)?;
    let caller = Caller { edge_url: format!("http://127.0.0.1:{port}"), ..stage.caller.clone() };
    ready(&caller.http, &caller.edge_url, scratch.path()).await?;
    // Its KV is empty: every record comes from control, on the miss.
    let (status, body) = caller.ask(json!({"text": "hello"})).await?;
    assert_eq!((status, &body["model"]), (200, &json!(caller.name)), "{body}");
    let events = caller.stream(json!({"words": 5})).await?;
    let last = events.iter().rfind(|event| event.data != "[DONE]").context("no events")?;
    assert_eq!(last.name, "response.completed");
    Ok(())
}
