//! Portkey's own gateway, unmodified, between the edge and the provider: a target like others, with headers.
//!
//! Whole answers only: on node, this version of it answers every event stream with 500 ("TypeError: immutable").
//!
//! Invariant: it is told where to go by the version's headers alone, and gets no other credential than the target's.

use std::{env, net::TcpListener, path::PathBuf, process::Stdio, time::Duration};

use alphagate_bed::{Bed, places};
use alphagate_tests::{Stage, until};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// It loads all providers that it knows, on a machine that is busy.
const START_MAX: Duration = Duration::from_secs(60);

/// A running gateway. It ends when it is dropped.
struct Portkey {
    url: String,
    _child: Child,
}

impl Portkey {
    async fn start() -> Result<Self> {
        let own = || {
            places::workspace().map(|root| {
                root.join("target/portkey/node_modules/@portkey-ai/gateway/build/start-server.js")
            })
        };
        let script = env::var_os("AG_PORTKEY").map_or_else(own, |path| Ok(PathBuf::from(path)))?;
        ensure!(script.exists(), "{} is missing: run `cargo xtask test` once", script.display());
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(places::node()?);
        command.arg(script).args([format!("--port={port}"), "--headless".to_owned()]);
        command
            .env("NODE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.kill_on_drop(true).spawn()?;
        let (url, http) = (format!("http://127.0.0.1:{port}"), alphagate_bed::http_client(None)?);
        until("Portkey", START_MAX, async || Ok(http.get(&url).send().await.ok())).await?;
        Ok(Self { url, _child: child })
    }
}

/// An endpoint whose target is the gateway, which is to ask the bed's provider.
async fn stage(portkey: &Portkey, protocol: &'static str) -> Result<Stage> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let credential = stage.org.admin.create_credential("portkey", &portkey.url, "sk-behind").await?;
    let headers =
        json!({"x-portkey-provider": "openai", "x-portkey-custom-host": stage.bed.provider().base_url()});
    let target = json!({"base_url": format!("{}/v1", portkey.url), "model": stage.model, "protocol": protocol,
        "credential": credential, "headers": headers});
    let version = stage.add_version(json!({"targets": [target]})).await?;
    stage.org.admin.publish(&stage.endpoint, version, Some(1)).await?;
    Ok(stage)
}

#[tokio::test]
async fn whole_answers_pass_through_portkeys_gateway_for_both_kinds_of_callers() -> Result<()> {
    let portkey = Portkey::start().await?;
    for protocol in ["chat", "responses"] {
        let stage = stage(&portkey, protocol).await?;
        let knobs =
            json!({"text": "Through two gateways.", "usage": {"input_tokens": 5, "output_tokens": 7}});
        stage.bed.provider().set_model(&stage.model, serde_json::from_value(knobs)?);
        for (path, asked) in [
            ("/v1/responses", json!({"input": "x"})),
            ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": "x"}]})),
        ] {
            let mut body = asked.clone();
            body["model"] = json!(stage.caller.name);
            let answer = stage.caller.post_to(path, body.to_string().into_bytes()).await?;
            let (status, text) = (answer.status().as_u16(), answer.text().await?);
            ensure!(status == 200, "{protocol} {path}: {text}");
            assert!(text.contains("gateways") && !text.contains(&stage.model), "{protocol} {path}: {text}");
        }
        let seen = stage.calls().requests();
        assert_eq!(seen.len(), 2, "{protocol}");
        for call in seen {
            assert_eq!(call.header("authorization"), Some("Bearer sk-behind"), "{protocol}");
        }
        let events: Vec<Value> = stage.usage(2).await?;
        assert!(events.iter().all(|event| event["output_tokens"] == 7), "{protocol}: {events:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_portkey_passes_on_as_an_error_is_one() -> Result<()> {
    let portkey = Portkey::start().await?;
    for protocol in ["chat", "responses"] {
        let stage = stage(&portkey, protocol).await?;
        for (status, code) in [(400, "upstream_rejected"), (503, "upstream_overloaded")] {
            let knobs = serde_json::from_value(json!({"status": status}))?;
            stage.bed.provider().set_model(&stage.model, knobs);
            let answer = stage.caller.post(json!({})).await?;
            let body: Value = answer.json().await.context("no JSON")?;
            assert_eq!(body["error"]["code"], code, "{protocol}: {body}");
        }
    }
    Ok(())
}
