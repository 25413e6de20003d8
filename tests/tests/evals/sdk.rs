//! `client.evals`, `client.files` and the graders of the unmodified SDK, against the edge's base URL.

use std::process::Stdio;

use alphagate_bed::places;
use alphagate_tests::has_gvisor;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use super::scene::{JUDGE, Scene, shared};

async fn python(scene: &Scene) -> Result<Value> {
    let own = || places::workspace().map(|root| root.join("target/py/bin/python"));
    let program = std::env::var_os("AG_PYTHON").map_or_else(own, |path| Ok(path.into()))?;
    let mut command = Command::new(program);
    command.arg(places::workspace()?.join("tests/sdks/evals.py"));
    seen_by(command, scene).await
}

async fn node(scene: &Scene, package: &str) -> Result<Value> {
    let mut command = Command::new(places::node()?);
    command.arg(places::workspace()?.join("tests/sdks/evals.mjs")).arg(package);
    seen_by(command, scene).await
}

async fn seen_by(mut command: Command, scene: &Scene) -> Result<Value> {
    let ask = json!({
        "base_url": format!("{}/v1", scene.stage.bed.edge_url()), "api_key": scene.key.secret,
        "model": scene.stage.caller.name, "judge": JUDGE,
    });
    let output = command.arg(ask.to_string()).stdin(Stdio::null()).kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("not one JSON object")
}

fn counts(run: &Value) -> (i64, i64, i64, i64) {
    let count = |name: &str| run["result_counts"][name].as_i64().unwrap_or(-1);
    (count("passed"), count("failed"), count("errored"), count("total"))
}

/// The results of one item by the graders' names.
fn result<'a>(item: &'a Value, grader: &str) -> &'a Value {
    let results = item["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mine = |result: &&Value| result["name"].as_str().is_some_and(|name| name.starts_with(grader));
    results.iter().find(mine).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn the_unmodified_sdk_carries_on_with_another_base_url() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new(shared().await?).await?;
    scene.answers(&[("[1]", "Paris"), ("[2]", "Lima"), ("[3]", "Tokyo")]);
    // The same answer serves the judge that labels and the one that scores; the sample stands between marks.
    scene.judges(&[
        (">Tokyo<", r#"{"label":"wrong","steps":[],"result":0.1}"#),
        ("", r#"{"label":"right","steps":[],"result":0.9}"#),
    ]);
    let seen = python(&scene).await?;
    a_run_is_counted_item_by_item(&seen);
    results_carry_their_graders(&seen)?;
    files_graders_and_lists_work(&seen, &scene);
    what_is_wrong_is_refused_in_words_that_the_sdk_knows(&seen);
    Ok(())
}

#[tokio::test]
async fn both_sdks_for_node_run_an_eval_to_its_end() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    for package in ["openai", "openai-6"] {
        let scene = Scene::new(shared().await?).await?;
        scene.answers(&[("[1]", "Paris"), ("[3]", "Tokyo")]);
        let seen = node(&scene, package).await.context(package)?;
        assert_eq!(counts(&seen["run"]), (1, 1, 0, 2), "{package}: {seen:#}");
        assert_eq!(seen["items"].as_array().map(Vec::len), Some(2), "{package}: {seen:#}");
    }
    Ok(())
}

fn a_run_is_counted_item_by_item(seen: &Value) {
    assert_eq!(seen["eval"]["object"], "eval");
    assert_eq!(seen["run_at_first"]["status"], "queued", "{:#}", seen["run_at_first"]);
    let run = &seen["run"];
    assert_eq!((&run["status"], counts(run)), (&json!("completed"), (2, 1, 0, 3)), "{run:#}");
    let criteria = run["per_testing_criteria_results"].as_array().map(Vec::len);
    assert_eq!(criteria, Some(5), "{run:#}");
    let usage = &run["per_model_usage"];
    let asked = usage.as_array().into_iter().flatten().filter_map(|model| model["invocation_count"].as_i64());
    assert_eq!(asked.sum::<i64>(), 3 + 6, "three samples, and two judges for each: {usage:#}");
    assert_eq!(counts(&seen["run_by_file"]), (2, 1, 0, 3), "{:#}", seen["run_by_file"]);
    let ready = &seen["run_without_sampling"];
    assert_eq!(counts(ready).3, 3, "{ready:#}");
    assert_eq!(counts(ready).0, 1, "only the first item wants Paris: {ready:#}");
}

fn results_carry_their_graders(seen: &Value) -> Result<()> {
    let items = seen["items"].as_array().context("no items")?;
    assert_eq!(items.len(), 3, "pages of two lead to all three");
    for item in items {
        let question = item["datasource_item"]["question"].as_str().context("no item")?;
        let right = !question.contains("[3]");
        assert_eq!(item["status"], if right { "pass" } else { "fail" }, "{item:#}");
        for grader in ["exact", "similar", "label", "score", "python"] {
            assert_eq!(result(item, grader)["passed"], right, "{grader}: {item:#}");
        }
        assert!(
            item["sample"]["output"][0]["content"].as_str().is_some_and(|text| !text.is_empty()),
            "{item:#}"
        );
        assert!(
            item["sample"]["usage"]["total_tokens"].as_i64().is_some_and(|tokens| tokens > 0),
            "{item:#}"
        );
        let sandbox = &result(item, "python")["sandbox"];
        assert!(sandbox["kernel"].as_str().is_some_and(|kernel| kernel.contains("gVisor")), "{item:#}");
        assert_eq!(sandbox["weak"], false);
    }
    assert_eq!(seen["item"]["id"], items[0]["id"]);
    Ok(())
}

fn files_graders_and_lists_work(seen: &Value, scene: &Scene) {
    assert_eq!(
        (&seen["file"]["purpose"], &seen["file"]["filename"]),
        (&json!("evals"), &json!("capitals.jsonl"))
    );
    assert_eq!(seen["file_content"].as_str().map(|text| text.lines().count()), Some(3));
    assert_eq!(seen["validated"]["grader"]["type"], "python", "{:#}", seen["validated"]);
    assert_eq!(seen["graded"]["reward"], 1.0, "{:#}", seen["graded"]);
    let broken = &seen["graded_by_broken"]["metadata"]["errors"];
    assert_eq!(broken["python_grader_runtime_error"], true, "{broken:#}");
    assert_eq!(broken["python_grader_server_error"], false, "{broken:#}");
    assert_eq!(seen["updated"]["name"], "capitals 2");
    assert_eq!(seen["evals"][0], seen["eval"]["id"]);
    assert_eq!(seen["runs"], json!(["inline", "by file", "ready"]));
    let sampled = scene.stage.calls().counts().completed;
    assert_eq!(sampled, 6, "two runs of three items, each sampled once");
}

fn what_is_wrong_is_refused_in_words_that_the_sdk_knows(seen: &Value) {
    assert_eq!(seen["missing"]["class"], "NotFoundError");
    assert!(
        seen["bad_item"]["status"].as_i64().is_some_and(|status| (400..500).contains(&status)),
        "{seen:#}"
    );
    assert_eq!(seen["deleted"]["deleted"], true);
    assert_eq!(seen["after_delete"]["class"], "NotFoundError");
}
