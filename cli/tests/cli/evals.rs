//! An eval from a file: made once, run against an endpoint, reported to people, programs and CI.

use alphagate_tests::has_gvisor;
use anyhow::{Context, Result};
use serde_json::json;

use super::{
    program::text,
    scene::{Scene, example},
};

async fn published() -> Result<Scene> {
    let scene = Scene::new().await?;
    scene.endpoints("apply", &example("endpoint.yaml")?, &["--publish"]).await?.with_status(0)?;
    Ok(scene)
}

#[tokio::test]
async fn an_eval_is_run_from_a_file_and_its_verdict_is_the_status() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = published().await?;
    scene.answers(&[("", "one\ntwo\nthree")]);
    let file = example("eval.yaml")?;
    let run = ["evals", "run", "-f", &file, "--model", "haiku"];
    let passed = scene.program.json(&run).await?;
    assert_eq!(passed["verdict"], "passed", "{passed:#}");
    assert_eq!(passed["run"]["result_counts"], json!({"total": 3, "passed": 3, "failed": 0, "errored": 0}));
    let sandboxed = &passed["run"]["per_testing_criteria_results"][0];
    assert_eq!((&sandboxed["testing_criteria"], &sandboxed["passed"]), (&json!("three lines"), &json!(3)));

    scene.answers(&[("frog", "one line <&>"), ("", "one\ntwo\nthree")]);
    let report = scene.program.path("report.xml");
    let with_report = [run.as_slice(), &["--junit", text(&report)?]].concat();
    let failed = scene.program.run(&with_report).await?.with_status(1)?;
    for part in
        ["2 of 3 passed, 1 failed", "three lines", "item 1: fail  three lines=0", "one line <&>", "failed"]
    {
        assert!(failed.stdout.contains(part), "{part}:\n{}", failed.stdout);
    }
    assert!(failed.stderr.contains("(found)"), "the same file finds the same eval: {}", failed.stderr);
    let xml = std::fs::read_to_string(&report)?;
    for part in [
        "tests=\"3\" skipped=\"0\" failures=\"1\" errors=\"0\"",
        "classname=\"haiku shape.three lines\"",
        "one line &lt;&amp;&gt;",
    ] {
        assert!(xml.contains(part), "{part}:\n{xml}");
    }
    let lenient = [run.as_slice(), &["--pass-rate", "0.6"]].concat();
    scene.program.run(&lenient).await?.with_status(0)?;

    let eval = passed["eval"].as_str().context("no eval")?;
    let runs = scene.program.json(&["evals", "runs", eval]).await?;
    assert_eq!(runs["data"].as_array().map(Vec::len), Some(3), "{runs:#}");
    let newest = runs["data"][0]["id"].as_str().context("no run")?;
    let items = scene.program.json(&["evals", "items", eval, newest, "--status", "fail"]).await?;
    assert_eq!(items["data"][0]["datasource_item_id"], 1, "{items:#}");
    scene.program.run(&["evals", "watch", eval, newest]).await?.with_status(1)?;
    let evals = scene.program.run(&["evals", "list"]).await?.with_status(0)?;
    assert_eq!(evals.stdout.matches("haiku shape").count(), 1, "{}", evals.stdout);
    Ok(())
}

#[tokio::test]
async fn data_come_from_a_file_of_lines_and_what_has_no_verdict_is_status_2() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = published().await?;
    scene.answers(&[("", "one\ntwo\nthree")]);
    let lines: String = (0..5).map(|number| format!("{{\"item\":{{\"about\":\"{number}\"}}}}\n")).collect();
    let data = scene.program.file("five.jsonl", &lines)?;
    let file = example("eval.yaml")?;
    let run = ["evals", "run", "-f", &file, "--model", "haiku", "--data", text(&data)?];
    let ran = scene.program.json(&run).await?;
    assert_eq!(ran["run"]["result_counts"]["passed"], 5, "{ran:#}");

    // A grader that breaks leaves its items without a verdict.
    let broken =
        ["--set", "testing_criteria[0].source='def grade(sample, item): return 1 / 0'", "--junit", "r.xml"];
    let broken = scene.program.run(&[run.as_slice(), &broken].concat()).await?.with_status(2)?;
    assert!(
        broken.stdout.contains("inconclusive") && broken.stdout.contains("ZeroDivisionError"),
        "{}",
        broken.stdout
    );
    let xml = std::fs::read_to_string(scene.program.path("r.xml"))?;
    assert!(xml.contains("errors=\"5\"") && xml.contains("python_grader_runtime_error"), "{xml}");
    Ok(())
}

#[tokio::test]
async fn what_the_api_refuses_of_an_eval_is_shown_where_it_stands() -> Result<()> {
    let scene = published().await?;
    let original = std::fs::read_to_string(example("eval.yaml")?)?;
    let file = scene.program.file("eval.yaml", &original.replace("type: python", "type: pythno"))?;
    let arguments = ["evals", "run", "-f", text(&file)?, "--model", "haiku"];
    let said = scene.program.run(&arguments).await?.with_status(2)?;
    assert!(said.stderr.contains("eval.yaml:12:11"), "{}", said.stderr);

    let file = scene.program.file("eval.yaml", &original)?;
    let missing = ["evals", "run", "-f", text(&file)?, "--model", "haiku"];
    let said = scene.program.run(&missing).await?.with_status(2)?;
    assert!(said.stderr.contains("items.jsonl: No such file"), "beside the document: {}", said.stderr);
    let file = scene.program.file("eval.yaml", &original.replace("path: items.jsonl", "path: bad.jsonl"))?;
    scene.program.file("bad.jsonl", "no JSON\n")?;
    let said =
        scene.program.run(&["evals", "run", "-f", text(&file)?, "--model", "haiku"]).await?.with_status(2)?;
    assert!(said.stderr.contains("field: file"), "{}", said.stderr);
    Ok(())
}
