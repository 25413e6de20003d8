//! The OpenAPI document against what control does: schemathesis asks what it allows and what it forbids, and a client
//! that was generated from it publishes an endpoint.

mod openapi {
    pub mod schemathesis;
}

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use alphagate_bed::{Bed, Scratch, places};
use anyhow::{Context, Result, ensure};
use openapi::schemathesis;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

/// The compiler takes some seconds on a busy machine, the client less.
const PROGRAM_MAX: Duration = Duration::from_secs(120);

/// Runs a program of node to its end, and gives what it said.
async fn node(script: PathBuf, arguments: &[String]) -> Result<String> {
    let mut command = Command::new(places::node()?);
    command.arg(script).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PROGRAM_MAX, command.output()).await.context("it does not end")??;
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{said}\n{complaint}");
    Ok(said.into_owned())
}

#[tokio::test]
async fn the_generated_client_creates_publishes_lists_and_reads_refusals() -> Result<()> {
    let root = places::workspace()?;
    // Within the workspace, so that node finds what npm has installed.
    let out = root.join("target/typescript");
    fs::create_dir_all(&out)?;
    fs::write(out.join("package.json"), json!({"type": "module"}).to_string())?;
    let project = root.join("tests/clients/tsconfig.json").display().to_string();
    let compile = ["--project".to_owned(), project, "--outDir".to_owned(), out.display().to_string()];
    node(root.join("node_modules/typescript/bin/tsc"), &compile).await?;

    let bed = Bed::shared().await?;
    let org = bed.org("typed").await?;
    let arguments = [bed.control_url(), org.admin_key.clone(), bed.provider().base_url()];
    let said = node(out.join("tests/clients/control.mjs"), &arguments).await?;
    let saw: Value = serde_json::from_str(said.trim()).with_context(|| said.clone())?;
    ensure!(saw["same"] == true && saw["edge"] == "accepted" && saw["state"] == "live", "{saw}");
    ensure!(saw["live"] == 1, "{saw}");
    ensure!(saw["taken"] == json!({"status": 409, "code": "conflict"}), "{saw}");
    ensure!(saw["missing"] == json!({"status": 404, "code": "not_found"}), "{saw}");
    ensure!(saw["refused"] == json!({"status": 401, "code": "invalid_api_key"}), "{saw}");
    ensure!(saw["listed"] == json!(["key 2", "key 1", "key 0", "first admin"]), "{saw}");
    Ok(())
}

#[tokio::test]
async fn the_document_is_served_and_read_without_a_credential() -> Result<()> {
    let bed = Bed::shared().await?;
    let http = alphagate_bed::http_client(None)?;
    let get = |path: &str| http.get(format!("{}{path}", bed.control_url()));
    let answer = get("/v1/openapi.json").send().await?.error_for_status()?;
    let tag = answer.headers().get(header::ETAG).context("no etag")?.clone();
    ensure!(answer.headers().contains_key(header::CACHE_CONTROL));
    let committed = fs::read_to_string(places::workspace()?.join("clients/openapi.json"))?;
    ensure!(answer.text().await? == committed, "another document than clients/openapi.json is served");
    let answer = get("/v1/openapi.json").header(header::IF_NONE_MATCH, tag).send().await?;
    ensure!(answer.status() == StatusCode::NOT_MODIFIED && answer.text().await?.is_empty());

    let answer = get("/docs").send().await?.error_for_status()?;
    let policy =
        answer.headers().get(header::CONTENT_SECURITY_POLICY).context("no policy")?.to_str()?.to_owned();
    ensure!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text().await?;
    ensure!(!page.contains("http"), "the page asks somebody else: {page}");
    let linked: Vec<&str> = page.split(['"', '\'']).filter(|text| text.starts_with("/docs/")).collect();
    ensure!(linked.len() == 4, "{linked:?}");
    for path in linked {
        let answer = get(path).send().await?.error_for_status()?;
        ensure!(answer.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        ensure!(!answer.bytes().await?.is_empty(), "{path}");
    }
    ensure!(get("/docs/swagger-ui.js").send().await?.status() == StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn schemathesis_finds_no_broken_promise() -> Result<()> {
    let bed = Bed::shared().await?;
    let org = bed.org("schemathesis").await?;
    let key = org.admin.mint_key("schemathesis", &["admin", "gate", "evals"]).await?;
    let (operator, name) = (bed.operator()?, json!({"name": "schemathesis"}));
    let token: Value = operator.send(reqwest::Method::POST, "/operator/v1/runner-tokens", &name).await?;
    let scratch = Scratch::new()?;
    let credentials = schemathesis::Credentials {
        api_key: &key.secret,
        operator_token: bed.operator_token(),
        runner_token: token["secret"].as_str().context("no token")?,
    };
    schemathesis::run(&bed.control_url(), &credentials, scratch.path()).await
}
