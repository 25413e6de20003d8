//! All 164 problems of HumanEval, answered well, badly and with malice: every verdict is right.
//!
//! The example is run as its users run it; the provider answers what the example's own table says.

use std::{collections::HashMap, process::Stdio};

use alphagate_bed::places;
use alphagate_tests::has_gvisor;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::scene::{Scene, shared};

/// The problems of the package.
const PROBLEMS: usize = 164;

/// A program of the example, in the Python of the tests.
fn example(program: &str) -> Result<Command> {
    let own = || places::workspace().map(|root| root.join("target/py/bin/python"));
    let python = std::env::var_os("AG_PYTHON").map_or_else(own, |path| Ok(path.into()))?;
    let mut command = Command::new(python);
    command.arg(places::workspace()?.join("examples/humaneval").join(program));
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

async fn said(mut command: Command) -> Result<String> {
    let output = command.output().await?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// What the provider says to each problem, by what the request contains.
async fn answers() -> Result<HashMap<String, String>> {
    let rows: Vec<Value> = serde_json::from_str(&said(example("candidates.py")?).await?)?;
    ensure!(rows.len() == PROBLEMS, "{} problems", rows.len());
    let kinds = |wanted: bool| rows.iter().filter(|row| row["passes"] == wanted).count();
    ensure!(kinds(true) > 50 && kinds(false) > 100, "the answers are not mixed");
    let answer = |row: &Value| {
        // The id stands at the end of a line, as JSON has it: so `HumanEval/1` is not met in `HumanEval/12`.
        let when = format!("{}\\n", row["task_id"].as_str()?);
        Some((when, row["answer"].as_str()?.to_owned()))
    };
    rows.iter().map(|row| answer(row).context("a row without an answer")).collect()
}

#[tokio::test]
async fn r15_every_one_of_the_164_verdicts_on_humaneval_is_right() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new(shared().await?).await?;
    let answers = answers().await?;
    let answers: Vec<(&str, &str)> =
        answers.iter().map(|(when, text)| (when.as_str(), text.as_str())).collect();
    scene.answers(&answers);
    let mut run = example("run.py")?;
    run.args(["--stand-in", "--model", &scene.stage.caller.name]);
    run.env("OPENAI_BASE_URL", format!("{}/v1", scene.stage.bed.edge_url()));
    run.env("OPENAI_API_KEY", &scene.key.secret);
    let told = said(run).await?;
    assert!(told.contains("164 of 164 verdicts are right"), "{told}");
    Ok(())
}
