//! A job as if it ran here: its output, its status, its end.

use std::{process::Stdio, time::Duration};

use alphagate_tests::has_gvisor;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
    time::timeout,
};

use super::{
    program::{Ran, text},
    scene::Scene,
};

/// A job on a loaded machine, from its hand-in to its first output.
const OUTPUT_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_file_is_run_and_its_output_and_status_are_its_own() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new().await?;
    let program = &scene.program;
    let source = "import os, sys\nimport beside\nprint(beside.WORD, sys.argv[1:], sys.stdin.read(), os.environ['X'])\n\
        print('woe', file=sys.stderr)\nopen('kept.txt', 'w').write('kept')\nsys.exit(3)\n";
    program.file("main.py", source)?;
    program.file("beside.py", "WORD = 'hello'\n")?;
    let run = [
        "jobs",
        "run",
        "--include",
        "beside.py",
        "--stdin",
        "-",
        "-e",
        "X=y",
        "--artefact",
        "kept.txt",
        "--name",
        "the job",
        "main.py",
        "--",
        "-a",
        "b",
    ];
    let ran = program.run_with(&run, "typed").await?.with_status(3)?;
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("hello ['-a', 'b'] typed y\n", "woe\n"));

    let list = program.json(&["jobs", "list", "--search", "the job", "--outcome", "failed"]).await?;
    let id = list["data"][0]["id"].as_str().context("not in the list")?;
    let kept = program.run(&["jobs", "output", id, "--artefact", "kept.txt"]).await?.with_status(0)?;
    let woe = program.run(&["jobs", "output", id, "--stderr"]).await?.with_status(0)?;
    assert_eq!((kept.stdout.as_str(), woe.stdout.as_str()), ("kept", "woe\n"));
    let again = program.run(&["jobs", "follow", id]).await?.with_status(3)?;
    assert_eq!(again.stdout, ran.stdout, "what is over can still be followed");

    program.file("sh", "#!/bin/bash\nkill -9 $$\n")?;
    program.run(&["jobs", "run", "sh"]).await?.with_status(137)?;
    program.file("slow.js", "setInterval(() => {}, 1000)\n")?;
    let late = program.run(&["jobs", "run", "--timeout", "1s", "slow.js"]).await?.with_status(124)?;
    assert!(late.stderr.contains("time is up"), "{}", late.stderr);
    let job = program.json(&["jobs", "run", "--set", "labels=[]", "beside.py"]).await?;
    assert_eq!((&job["outcome"], &job["language"]), (&json!("passed"), &json!("python")));
    program.run(&["queue"]).await?.with_status(0)?;
    Ok(())
}

#[tokio::test]
async fn output_is_followed_as_it_comes_and_an_interruption_stops_the_job() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new().await?;
    let file = scene.program.file("wait.sh", "echo begun\nsleep 1000\n")?;
    let mut command =
        scene.program.command(&["jobs", "run", "--timeout", "20m", "--name", "waits", text(&file)?]);
    let mut child = command.spawn()?;
    let mut out = BufReader::new(child.stdout.take().context("no output")?);
    let mut line = String::new();
    timeout(OUTPUT_MAX, out.read_line(&mut line)).await.context("nothing came")??;
    assert_eq!(line, "begun\n", "long before its end");
    let list = scene.program.json(&["jobs", "list", "--state", "running"]).await?;
    assert_eq!(list["data"][0]["name"], "waits", "{list:#}");

    let pid = child.id().context("it has ended")?;
    let interrupt = Command::new("kill").args(["-INT", &pid.to_string()]).status().await?;
    assert!(interrupt.success());
    let mut said = String::new();
    child.stderr.take().context("no errors")?.read_to_string(&mut said).await?;
    let status = timeout(OUTPUT_MAX, child.wait()).await.context("it did not end")??;
    assert_eq!(status.code(), Some(125), "{said}");
    assert!(said.contains("stopping the job") && said.contains("canceled"), "{said}");
    let list = scene.program.json(&["jobs", "list", "--state", "canceled"]).await?;
    assert_eq!(list["data"][0]["name"], "waits", "{list:#}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_handed_in_has_a_status_that_is_no_jobs() -> Result<()> {
    let scene = Scene::new().await?;
    scene.program.file("a.py", "print(1)")?;
    let refused =
        scene.program.run(&["jobs", "run", "--set", "limits.pids=0", "a.py"]).await?.with_status(125)?;
    assert!(refused.stderr.contains("field: limits.pids"), "{}", refused.stderr);
    let unknown = scene.program.run(&["jobs", "run", "--json", "a.txt"]).await?.with_status(2)?;
    let error: Value = serde_json::from_str(&unknown.stderr)?;
    assert_eq!(error["error"]["code"], "cli");
    // Whoever reads our output may leave: that is no error of ours.
    let mut command = scene.program.command(&["completions", "bash"]);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output().await?;
    assert_eq!(Ran::of(output)?.with_status(0)?.stderr, "");
    Ok(())
}
