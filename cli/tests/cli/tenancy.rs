//! Keys, credentials, quotas, the catalog and installs: an org that publishes, and one that calls.

use std::time::Duration;

use alphagate_bed::places;
use alphagate_tests::until;
use anyhow::{Context, Result};
use serde_json::json;
use tokio::process::Command;

use super::{
    program::{Program, text},
    scene::{Scene, example},
};

/// From a settlement to its event in control, on a loaded machine.
const USAGE_MAX: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_key_is_made_listed_rotated_and_revoked() -> Result<()> {
    let scene = Scene::new().await?;
    let program = &scene.program;
    scene.endpoints("apply", &example("endpoint.yaml")?, &["--publish"]).await?.with_status(0)?;
    let made = program.json(&["keys", "create", "laptop", "--scope", "call", "--test"]).await?;
    let (id, secret) = (made["id"].as_str().context("no id")?, made["secret"].as_str().context("no secret")?);
    assert!(secret.starts_with("ag_test_"), "{secret}");
    assert_eq!(scene.call(secret, "haiku", "rain").await?.0, 200);

    let first = program.json(&["keys", "list", "--limit", "1"]).await?;
    assert_eq!((first["data"].as_array().map(Vec::len), &first["has_more"]), (Some(1), &json!(true)));
    let all = program.json(&["keys", "list", "--all"]).await?;
    let names: Vec<_> = all["data"].as_array().into_iter().flatten().map(|key| &key["name"]).collect();
    assert_eq!((names.len(), &all["has_more"]), (3, &json!(false)), "{names:?}");
    let table = program.run(&["keys", "list", "--all"]).await?.with_status(0)?;
    assert!(table.stdout.starts_with("ID ") && table.stdout.contains(id), "{}", table.stdout);
    assert!(!table.stdout.contains('\u{1b}'), "no colours where nobody sees them");

    let next = program.json(&["keys", "rotate", id, "--overlap", "0"]).await?;
    assert_eq!(next["replaces"], id);
    assert_eq!(scene.call(secret, "haiku", "rain").await?.0, 401);
    let secret = next["secret"].as_str().context("no secret")?;
    assert_eq!(scene.call(secret, "haiku", "rain").await?.0, 200);
    let revoked = program.run(&["keys", "revoke", next["id"].as_str().context("no id")?]).await?;
    assert!(revoked.with_status(0)?.stdout.contains("the edge refuses it from now on"));
    assert_eq!(scene.call(secret, "haiku", "rain").await?.0, 401);
    Ok(())
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_back() -> Result<()> {
    let scene = Scene::new().await?;
    let program = &scene.program;
    let file = program.file("secret.txt", "sk-rotated-elsewhere\n")?;
    program.json(&["credentials", "rotate", &scene.credential, "--secret-file", text(&file)?]).await?;
    for arguments in [vec!["credentials", "list"], vec!["credentials", "show", &scene.credential]] {
        let shown = program.run(&arguments).await?.with_status(0)?.stdout;
        assert!(shown.contains(&scene.credential) && !shown.contains("sk-"), "{shown}");
    }
    let origin = scene.bed.provider().url();
    let empty = program.run_with(&["credentials", "create", "x", "--origin", &origin], "").await?;
    assert!(empty.with_status(2)?.stderr.contains("no secret was given"));
    program.run(&["credentials", "delete", &scene.credential]).await?.with_status(0)?;
    let gone = program.run(&["credentials", "show", &scene.credential]).await?.with_status(2)?;
    assert!(gone.stderr.contains("404 not_found"), "{}", gone.stderr);
    Ok(())
}

#[tokio::test]
async fn quotas_are_read_and_written_as_one_document() -> Result<()> {
    let scene = Scene::new().await?;
    let program = &scene.program;
    let quotas = "quotas:\n  - subject: {kind: org}\n    limit: {unit: requests, window: hour, cap: 100}\n  - \
        subject: {kind: org}\n    limit: {concurrency: 8}\n    action: flag\n";
    let file = program.file("quotas.yaml", quotas)?;
    let set = program.json(&["quotas", "set", "-f", text(&file)?, "--set", "quotas[0].limit.cap=50"]).await?;
    assert_eq!(set["quotas"][0]["limit"]["cap"], 50);
    let got = program.json(&["quotas", "get"]).await?;
    assert_eq!(got, set);
    let table = program.run(&["quotas", "get"]).await?.with_status(0)?.stdout;
    assert!(table.contains("50 requests a hour") && table.contains("8 at once"), "{table}");
    let again = program.run_with(&["quotas", "set", "-f", "-", "--json"], &got.to_string()).await?;
    assert_eq!(again.with_status(0)?.json()?, got);
    Ok(())
}

#[tokio::test]
async fn one_org_publishes_and_another_installs_calls_and_sees_what_it_used() -> Result<()> {
    let scene = Scene::new().await?;
    let name = format!("haiku-{}", scene.model);
    let named = format!("name={name}");
    let published =
        scene.endpoints("apply", &example("endpoint.yaml")?, &["--publish", "--set", &named]).await?;
    published.with_status(0)?;

    let consumer = scene.bed.org("Consumer").await?;
    let program = Program::with_key(scene.bed, &consumer.admin_key)?;
    let offers = program.json(&["catalog", &name]).await?;
    let endpoint = offers["data"][0]["endpoint"].as_str().context("not in the catalog")?;
    let install = program.json(&["installs", "create", endpoint, "poet"]).await?;
    let id = install["id"].as_str().context("no id")?;
    let key = program.json(&["keys", "create", "app", "--scope", "call"]).await?;
    let secret = key["secret"].as_str().context("no secret")?;
    assert_eq!(scene.call(secret, "poet", "rain").await?.0, 200);

    let pinned = program.json(&["installs", "pin", id, "1"]).await?;
    assert_eq!(pinned["version"], 1);
    assert_eq!(program.json(&["installs", "follow", id]).await?["version"], json!(null));

    let used = until("the usage event", USAGE_MAX, async || {
        let used = program.json(&["usage", "--endpoint", endpoint]).await?;
        Ok(used["data"].as_array().is_some_and(|data| !data.is_empty()).then_some(used))
    });
    assert_eq!(used.await?["data"][0]["outcome"], "completed");
    let logs = scene.program.run(&["endpoints", "logs", &name, "--json"]).await?.with_status(0)?;
    assert_eq!(logs.stdout.lines().count(), 1, "{}", logs.stdout);
    program.run(&["installs", "delete", id]).await?.with_status(0)?;
    assert_eq!(scene.call(secret, "poet", "rain").await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn the_code_that_dev_prints_runs() -> Result<()> {
    let scene = Scene::new().await?;
    scene.answers(&[("Hello", "one\ntwo\nthree")]);
    scene.endpoints("apply", &example("endpoint.yaml")?, &["--publish"]).await?.with_status(0)?;
    let unknown = scene.program.run(&["dev", "missing"]).await?.with_status(2)?;
    assert!(unknown.stderr.contains("`missing` calls nothing; there are: haiku"), "{}", unknown.stderr);
    let caller = scene.caller().await?;
    // A key that may only call asks the edge for the names.
    let program = Program::with_key(scene.bed, &caller.secret)?;
    let python = places::target()?.join("py/bin/python");
    let python = std::env::var_os("AG_PYTHON").map_or(python, Into::into);
    for (language, interpreter, file) in [
        ("python", python, "ask.py"),
        ("node", places::node()?, "ask.mjs"),
        ("curl", "bash".into(), "ask.sh"),
    ] {
        let code = program.run(&["dev", "haiku", "--lang", language]).await?.with_status(0)?.stdout;
        assert!(!code.contains(&caller.secret), "the code holds no key");
        let path = match language {
            // Node looks for packages beside and above the file.
            "node" => places::workspace()?.join(format!("target/{}-{file}", scene.model)),
            _ => program.path(file),
        };
        std::fs::write(&path, code)?;
        let mut command = Command::new(interpreter);
        command.arg(&path).env("ALPHAGATE_API_KEY", &caller.secret).kill_on_drop(true);
        let output = command.output().await?;
        let _ = std::fs::remove_file(&path);
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("three"), "{language}: {said}\n{error}");
    }
    Ok(())
}
