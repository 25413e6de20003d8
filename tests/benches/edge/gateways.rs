//! LiteLLM and Portkey, as their documentation starts them, in front of the same provider.
//!
//! Invariant: neither speaks to anything but the provider on this machine: what reports home, or fetches prices, is off.

use super::subject::{Door, authority};
use alphagate_bed::{Peer, PeerLaunch, places};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::{env, fs, net::SocketAddr, path::PathBuf};

/// What LiteLLM compares a caller's key with.
const KEY: &str = "sk-bench";
const NATIVE: &str = "bench";
const TRANSLATED: &str = "bench-chat";

/// A gateway's doors.
#[derive(Debug)]
pub struct Doors {
    pub native: Door,
    pub translated: Option<Door>,
}

fn part(name: &str) -> Result<PathBuf> {
    env::var_os(name)
        .map(PathBuf::from)
        .with_context(|| format!("{name} is not set: `cargo xtask bench edge` does"))
}

/// One worker without a database. Over chat completions it translates as it does for vLLM.
pub async fn litellm(provider: SocketAddr) -> Result<(Peer, Doors)> {
    let folder = part("AG_BENCH_FOLDER")?;
    let config = folder.join("litellm.yaml");
    let target =
        |model: &str| json!({"model": model, "api_base": format!("http://{provider}/v1"), "api_key": KEY});
    // JSON is YAML.
    let text = json!({
        "model_list": [
            {"model_name": NATIVE, "litellm_params": target("openai/fake-1")},
            {"model_name": TRANSLATED, "litellm_params": target("hosted_vllm/fake-1")},
        ],
        "litellm_settings": {"telemetry": false},
        "general_settings": {"master_key": KEY},
    });
    fs::write(&config, text.to_string())?;
    let config = config.display().to_string();
    let args = ["--config", &config, "--host", "127.0.0.1", "--port", "{port}", "--num_workers", "1"];
    let peer = Peer::start(PeerLaunch {
        name: "LiteLLM",
        program: part("AG_LITELLM")?,
        args: args.map(str::to_owned).to_vec(),
        env: [
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
            ("LITELLM_TELEMETRY", "False"),
            ("LITELLM_LOG", "ERROR"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        ready_path: "/health/liveliness",
        log: folder.join("litellm.log"),
    })
    .await?;
    let door = |model: &str| Door {
        authority: authority(&peer.url()).to_owned(),
        key: KEY.to_owned(),
        model: model.to_owned(),
        headers: vec![],
    };
    let doors = Doors { native: door(NATIVE), translated: Some(door(TRANSLATED)) };
    Ok((peer, doors))
}

/// Its own server on node. Only a provider like OpenAI gets the Responses protocol from it: it translates nothing.
pub async fn portkey(provider: SocketAddr) -> Result<(Peer, Doors)> {
    let script = part("AG_PORTKEY")?.display().to_string();
    let peer = Peer::start(PeerLaunch {
        name: "Portkey",
        program: places::node()?,
        args: vec![script, "--port={port}".to_owned(), "--headless".to_owned()],
        env: vec![("NODE_ENV".to_owned(), "production".to_owned())],
        ready_path: "/",
        log: part("AG_BENCH_FOLDER")?.join("portkey.log"),
    })
    .await?;
    let native = Door {
        authority: authority(&peer.url()).to_owned(),
        key: KEY.to_owned(),
        model: "fake-1".to_owned(),
        headers: vec![
            ("x-portkey-provider", "openai".to_owned()),
            ("x-portkey-custom-host", format!("http://{provider}/v1")),
        ],
    };
    Ok((peer, Doors { native, translated: None }))
}
