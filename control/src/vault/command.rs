//! `alphagate-control vault …`: what is under which key, and rotations to their end. A client of a running control: master
//! keys are in `serve` alone.

use alphagate_contract::{id::OrgId, secret::Secret};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::{convert::Infallible, time::Duration};
use url::Url;

/// How long one batch may take: 500 keys, at 100 ms for an unwrapping and a wrapping far away, twice over.
const BATCH_WAIT_MAX: Duration = Duration::from_secs(120);

/// What is done with the vault.
#[derive(Debug, Subcommand)]
pub enum Vault {
    /// Show what is under which key, and so which key may be taken away.
    Status(Control),
    /// Bring everything under the newest keys, in batches: data keys under the current master key, credentials under their
    /// org's newest data key and the edge's current key. Stopped anywhere, it goes on where it was; fails if something fails.
    Renew {
        /// Where control is, and who asks.
        #[command(flatten)]
        control: Control,
        /// Most of each kind in one batch.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
        batch: u32,
    },
    /// Make a new data key for an org, and encrypt its credentials anew with it.
    RotateDataKey {
        /// Where control is, and who asks.
        #[command(flatten)]
        control: Control,
        /// The org, `org_…`.
        org: OrgId,
    },
    /// Say that no program of the last release runs any more, nor will: its copies of credentials are wiped. For good.
    EndMove(Control),
}

/// Where control is, and who asks.
#[derive(Debug, Clone, Args)]
pub struct Control {
    /// Where control is.
    #[arg(long, env = "AG_CONTROL_URL", default_value = "http://127.0.0.1:8080")]
    control_url: Url,
    /// Bearer token of `/operator/v1/…`.
    #[arg(long, env = "AG_OPERATOR_TOKEN", hide_env_values = true, value_parser = secret)]
    operator_token: Secret<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a Result")]
fn secret(text: &str) -> Result<Secret<String>, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// Does it; what came of it goes to standard output, line by line.
///
/// # Errors
/// When control does not answer, refuses, or something could not be renewed.
pub async fn run(vault: Vault) -> anyhow::Result<()> {
    match vault {
        Vault::Status(control) => show(&control.ask(Method::GET, "vault", None).await?),
        Vault::EndMove(control) => {
            control.ask(Method::POST, "vault/end-move", None).await?;
            println!("copies are not kept any more; `vault renew` wipes those that are there");
            renew(&control, 100).await
        }
        Vault::RotateDataKey { control, org } => {
            let made = control.ask(Method::POST, &format!("orgs/{org}/data-key"), None).await?;
            println!("{org}: data key {}; {}", made["number"], progress("credentials", &made["credentials"]));
            Ok(())
        }
        Vault::Renew { control, batch } => renew(&control, batch).await,
    }
}

async fn renew(control: &Control, batch: u32) -> anyhow::Result<()> {
    loop {
        let renewed = control.ask(Method::POST, "vault/renew", Some(json!({"limit": batch}))).await?;
        let (keys, credentials) = (&renewed["data_keys"], &renewed["credentials"]);
        println!(
            "{}; {}; {} destroyed",
            progress("data keys", keys),
            progress("credentials", credentials),
            renewed["destroyed"]
        );
        let sum = |field: &str| keys[field].as_i64().unwrap_or(0) + credentials[field].as_i64().unwrap_or(0);
        match (sum("left"), sum("done")) {
            (0, _) => return Ok(()),
            (left, 0) => bail!("{left} cannot be renewed: control's log says why"),
            _ => {}
        }
    }
}

fn progress(what: &str, progress: &Value) -> String {
    format!("{what}: {} done, {} failed, {} left", progress["done"], progress["failed"], progress["left"])
}

fn show(state: &Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(state)?);
    Ok(())
}

impl Control {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        // A second installation in one process changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().timeout(BATCH_WAIT_MAX);
        if self.control_url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let url = format!("{}/operator/v1/{path}", self.control_url.as_str().trim_end_matches('/'));
        let mut request = builder.build()?.request(method, &url).bearer_auth(self.operator_token.reveal());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.with_context(|| format!("{url} does not answer"))?;
        let (status, answer) = (response.status(), response.json::<Value>().await.unwrap_or_default());
        if !status.is_success() {
            bail!("{url}: {status}: {}", answer["error"]["message"].as_str().unwrap_or("no reason given"));
        }
        Ok(answer)
    }
}
