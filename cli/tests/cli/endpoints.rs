//! From a file to live, and back.

use std::{process::Stdio, time::Duration};

use alphagate_tests::until;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use super::{
    program::text,
    scene::{Scene, example},
};

/// From a settlement to its event on a screen, on a loaded machine.
const LOGGED_MAX: Duration = Duration::from_secs(30);

async fn instructions(scene: &Scene, secret: &str) -> Result<Value> {
    let (status, body) = scene.call(secret, "haiku", "rain").await?;
    assert_eq!(status, 200, "{body}");
    let seen = scene.bed.provider().calls_of(&scene.model).requests().pop().context("no call")?;
    Ok(seen.json().context("no JSON")?["instructions"].clone())
}

#[tokio::test]
async fn what_a_file_says_is_made_once_and_a_second_time_nothing_happens() -> Result<()> {
    let scene = Scene::new().await?;
    let file = example("endpoint.yaml")?;
    let nothing_yet = scene.endpoints("diff", &file, &["--json"]).await?.with_status(1)?.json()?;
    assert_eq!((&nothing_yet["differs"], &nothing_yet["version"]), (&json!(true), &json!(null)));

    let first = scene.endpoints("apply", &file, &["--publish", "--json"]).await?.with_status(0)?.json()?;
    assert_eq!(
        (&first["created"], &first["new_version"], &first["live"]),
        (&json!(true), &json!(true), &json!(1))
    );
    let caller = scene.caller().await?;
    let told = instructions(&scene, &caller.secret).await?;
    assert!(told.as_str().is_some_and(|told| told.starts_with("Answer with one haiku, in three lines.\n")));

    let second = scene.endpoints("apply", &file, &["--publish", "--json"]).await?.with_status(0)?.json()?;
    let expected = json!({"endpoint": first["endpoint"], "name": "haiku", "created": false, "changed": [],
        "version": 1, "new_version": false, "live": 1, "publication": null});
    assert_eq!(second, expected);
    assert_eq!(scene.endpoints("diff", &file, &[]).await?.with_status(0)?.stdout, "");
    let versions = scene.program.json(&["endpoints", "versions", "haiku"]).await?;
    assert_eq!(versions["data"].as_array().map(Vec::len), Some(1), "{versions}");
    let publications = scene.program.json(&["endpoints", "publications", "haiku"]).await?;
    assert_eq!(publications["data"].as_array().map(Vec::len), Some(1), "{publications}");
    Ok(())
}

#[tokio::test]
async fn a_changed_file_is_a_diff_then_a_version_then_live_and_can_be_rolled_back() -> Result<()> {
    let scene = Scene::new().await?;
    let original = std::fs::read_to_string(example("endpoint.yaml")?)?;
    let file = scene.program.file("endpoint.yaml", &original)?;
    let file = text(&file)?;
    scene.endpoints("apply", file, &["--publish"]).await?.with_status(0)?;
    let changed = original.replace("Say nothing besides.", "No title.").replace("public", "private");
    std::fs::write(file, changed)?;

    let diff = scene.endpoints("diff", file, &[]).await?.with_status(1)?.stdout;
    for line in
        ["-visibility: \"public\"", "+visibility: \"private\"", "-  Say nothing besides.", "+  No title."]
    {
        assert!(diff.lines().any(|found| found == line), "{line}:\n{diff}");
    }
    let applied = scene.endpoints("apply", file, &["--json"]).await?.with_status(0)?.json()?;
    assert_eq!((&applied["changed"], &applied["version"]), (&json!(["visibility"]), &json!(2)), "{applied}");
    assert_eq!(applied["live"], 1, "made, not published");

    let caller = scene.caller().await?;
    scene.program.run(&["endpoints", "publish", "haiku"]).await?.with_status(0)?;
    let told = instructions(&scene, &caller.secret).await?;
    assert!(told.as_str().is_some_and(|told| told.contains("No title.")), "{told}");
    let again = scene.program.json(&["endpoints", "publish", "haiku"]).await?;
    assert_eq!((&again["state"], &again["unchanged"]), (&json!("live"), &json!(true)));

    let back = scene.program.json(&["endpoints", "rollback", "haiku"]).await?;
    assert_eq!((&back["state"], &back["version"]), (&json!("live"), &json!(1)));
    let told = instructions(&scene, &caller.secret).await?;
    assert!(told.as_str().is_some_and(|told| told.contains("Say nothing besides.")), "{told}");
    let shown = scene.program.json(&["endpoints", "versions", "haiku", "2"]).await?;
    assert_eq!(shown["config"]["max_output_tokens"], 200);

    let missing =
        scene.program.run(&["endpoints", "publish", "haiku", "--version", "9"]).await?.with_status(2)?;
    assert!(missing.stderr.contains("422 unprocessable"), "{}", missing.stderr);
    let nowhere = scene.program.run(&["endpoints", "show", "nowhere"]).await?.with_status(2)?;
    assert!(nowhere.stderr.contains("there is no endpoint `nowhere`"), "{}", nowhere.stderr);
    Ok(())
}

#[tokio::test]
async fn a_canary_starts_and_stops_and_an_endpoint_is_withdrawn_only_if_that_is_meant() -> Result<()> {
    let scene = Scene::new().await?;
    let file = example("endpoint.yaml")?;
    scene.endpoints("apply", &file, &["--publish"]).await?.with_status(0)?;
    scene.endpoints("apply", &file, &["--set", "version.retries=1"]).await?.with_status(0)?;
    let start = ["endpoints", "canary", "start", "haiku", "--version", "2", "--percent", "25"];
    let started = scene.program.run(&start).await?.with_status(0)?;
    assert!(started.stdout.contains("version 2 for 25% of the keys is live"), "{}", started.stdout);
    let list = scene.program.run(&["endpoints", "list"]).await?.with_status(0)?;
    assert!(list.stdout.contains("2 at 25%"), "{}", list.stdout);
    scene.program.run(&["endpoints", "canary", "stop", "haiku"]).await?.with_status(0)?;
    let shown = scene.program.json(&["endpoints", "show", "haiku"]).await?;
    assert_eq!((&shown["live"], shown.get("canary")), (&json!(1), None));

    let unsure = scene.program.run(&["endpoints", "withdraw", "haiku"]).await?.with_status(2)?;
    assert!(unsure.stderr.contains("--yes"), "{}", unsure.stderr);
    let caller = scene.caller().await?;
    assert_eq!(scene.call(&caller.secret, "haiku", "rain").await?.0, 200);
    scene.program.run(&["endpoints", "withdraw", "haiku", "--yes"]).await?.with_status(0)?;
    assert_eq!(scene.call(&caller.secret, "haiku", "rain").await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_is_forked_compared_deleted_and_made_after_a_template() -> Result<()> {
    let scene = Scene::new().await?;
    let file = example("endpoint.yaml")?;
    scene.endpoints("apply", &file, &["--publish"]).await?.with_status(0)?;
    scene.endpoints("apply", &file, &["--set", "version.retries=1"]).await?.with_status(0)?;
    let diff = scene.program.json(&["endpoints", "versions", "haiku", "2", "--against", "1"]).await?;
    assert_eq!(diff["patch"], json!([{"op": "add", "path": "/retries", "value": 1}]), "{diff:#}");
    let fork = scene.program.json(&["endpoints", "fork", "haiku", "haiku-2", "--version", "2"]).await?;
    assert_eq!((&fork["version"], &fork["forked_from"]["version"]), (&json!(1), &json!(2)), "{fork:#}");

    let templates = scene.program.run(&["endpoints", "templates"]).await?.with_status(0)?;
    assert!(templates.stdout.contains("vision-screencast-evaluator"), "{}", templates.stdout);
    let made = ["endpoints", "templates", "text-classifier", "--as", "inbox", "--model", "m"];
    assert_eq!(scene.program.json(&made).await?["template"], "text-classifier");

    let caller = scene.caller().await?;
    assert_eq!(scene.call(&caller.secret, "haiku", "rain").await?.0, 200);
    let unsure = scene.program.run(&["endpoints", "delete", "haiku"]).await?.with_status(2)?;
    assert!(unsure.stderr.contains("--yes"), "{}", unsure.stderr);
    scene.program.run(&["endpoints", "delete", "haiku", "--yes"]).await?.with_status(0)?;
    assert_eq!(scene.call(&caller.secret, "haiku", "rain").await?.0, 404);
    scene.endpoints("apply", &file, &[]).await?.with_status(0)?;
    Ok(())
}

#[tokio::test]
async fn logs_go_on_as_requests_come() -> Result<()> {
    let scene = Scene::new().await?;
    scene.endpoints("apply", &example("endpoint.yaml")?, &["--publish"]).await?.with_status(0)?;
    let caller = scene.caller().await?;
    assert_eq!(scene.call(&caller.secret, "haiku", "rain").await?.0, 200);
    until("the first event", LOGGED_MAX, async || {
        let logs = scene.program.run(&["endpoints", "logs", "haiku", "--json"]).await?.with_status(0)?;
        Ok((logs.stdout.lines().count() == 1).then_some(()))
    })
    .await?;
    let mut command = scene.program.command(&["endpoints", "logs", "haiku", "--follow", "--json"]);
    let mut child = command.stderr(Stdio::inherit()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let mut ids = Vec::new();
    for number in 0..3 {
        if number > 0 {
            assert_eq!(scene.call(&caller.secret, "haiku", "rain").await?.0, 200);
        }
        let line = timeout(LOGGED_MAX, lines.next_line()).await.context("nothing came")??;
        let event: Value = serde_json::from_str(&line.context("it ended")?)?;
        ids.push(event["id"].as_str().context("no id")?.to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "each once");
    child.kill().await?;
    Ok(())
}
