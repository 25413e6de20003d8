//! What a file says wrong is told with its place, and what a command line says wrong with its remedy.

use anyhow::Result;

use super::{
    program::{Program, text},
    scene::Scene,
};

#[tokio::test]
async fn a_refused_field_is_shown_where_it_stands() -> Result<()> {
    let scene = Scene::new().await?;
    let document = |rest: &str| {
        let base_url = scene.bed.provider().base_url();
        format!("name: poems\nversion:\n  targets:\n    - base_url: {base_url}\n      model: m\n{rest}")
    };
    let cases = [
        ("      wieght: 2\n", "version", "targets[0]", ":6:15"),
        ("      weight: heavy\n", "version", "targets[0].weight", ":6:15"),
        ("  locked: [model]\n", "version", "locked", ":6:11"),
        ("  output_schema: {name: x, schema: {type: nonsense}}\n", "version", "output_schema", ":6:"),
    ];
    for (rest, _, field, place) in cases {
        let file = scene.program.file("poems.yaml", &document(rest))?;
        let said = scene.program.run(&["endpoints", "apply", "-f", text(&file)?]).await?.with_status(2)?;
        assert!(said.stderr.contains("422 unprocessable"), "{rest}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("field: {field}")), "{rest}: {}", said.stderr);
        assert!(said.stderr.contains(&format!("poems.yaml{place}")), "{rest}: {}", said.stderr);
    }
    let file = scene.program.file("odd.yaml", "name: odd\nvisibilty: public\n")?;
    let said = scene.program.run(&["endpoints", "apply", "-f", text(&file)?]).await?.with_status(2)?;
    assert!(said.stderr.contains("odd.yaml:2:12"), "{}", said.stderr);
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_document_asks_nobody() -> Result<()> {
    let program = Program::nobody()?;
    let cases = [("name: a\nname: b\n", "x.yaml:2:"), ("name: [\n", "x.yaml:"), ("- a\n", "is an object")];
    for (content, told) in cases {
        let file = program.file("x.yaml", content)?;
        let arguments =
            ["endpoints", "apply", "-f", text(&file)?, "--key", "ag_live_x", "--url", "http://127.0.0.1:9"];
        let said = program.run(&arguments).await?.with_status(2)?;
        assert!(
            said.stderr.contains(told) && !said.stderr.contains("127.0.0.1:9"),
            "{content}: {}",
            said.stderr
        );
    }
    let missing = ["quotas", "set", "-f", "nowhere.yaml", "--key", "ag_live_x"];
    assert!(program.run(&missing).await?.with_status(2)?.stderr.contains("nowhere.yaml"));
    Ok(())
}

#[tokio::test]
async fn a_wrong_command_line_is_status_2_and_help_has_examples() -> Result<()> {
    let program = Program::nobody()?;
    for wrong in [
        vec!["endpoints"],
        vec!["keys", "show", "cred_1"],
        vec!["keys", "list", "--limit", "0"],
        vec!["nonsense"],
    ] {
        assert_eq!(program.run(&wrong).await?.status, 2, "{wrong:?}");
    }
    let nouns = [
        vec!["--help"],
        vec!["endpoints", "apply", "--help"],
        vec!["evals", "run", "--help"],
        vec!["jobs", "run", "--help"],
    ];
    for help in nouns {
        let said = program.run(&help).await?.with_status(0)?.stdout;
        assert!(said.contains("Example"), "{help:?}: {said}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = program.run(&["completions", shell]).await?.with_status(0)?.stdout;
        assert!(script.contains("alphagate") && script.contains("endpoints"), "{shell}");
    }
    Ok(())
}
