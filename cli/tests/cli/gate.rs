//! A publication that waits for its gate: the verdict is the status.

use alphagate_tests::has_gvisor;
use anyhow::{Context, Result};
use serde_json::json;

use super::{
    program::text,
    scene::{Scene, example},
};

#[tokio::test]
async fn a_version_that_misses_its_gate_is_status_1_and_force_goes_past_it() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new().await?;
    let file = example("endpoint.yaml")?;
    scene.answers(&[("", "one\ntwo\nthree")]);
    scene.endpoints("apply", &file, &["--publish"]).await?.with_status(0)?;
    let eval = example("eval.yaml")?;
    let ran = scene.program.json(&["evals", "run", "-f", &eval, "--model", "haiku"]).await?;
    let mut source = ran["run"]["data_source"].clone();
    source.as_object_mut().context("no data source")?.remove("model");
    let gate =
        json!({"evals": [{"eval": ran["eval"], "data_source": source, "thresholds": {"pass_rate": 1.0}}]});
    let gate = scene.program.file("gate.json", &gate.to_string())?;
    scene.program.run(&["endpoints", "gate", "haiku", "-f", text(&gate)?]).await?.with_status(0)?;

    scene.answers(&[("rain", "one line"), ("", "one\ntwo\nthree")]);
    let second = ["--set", "version.retries=1", "--publish", "--wait"];
    let failed = scene.endpoints("apply", &file, &second).await?.with_status(1)?;
    assert!(failed.stdout.contains("did not go live: failed (thresholds_missed)"), "{}", failed.stdout);
    assert!(failed.stdout.contains("2 of 3 passed"), "{}", failed.stdout);
    let shown = scene.program.json(&["endpoints", "show", "haiku"]).await?;
    assert_eq!(shown["live"], 1);

    let forced = scene.program.json(&["endpoints", "publish", "haiku", "--force"]).await?;
    assert_eq!((&forced["state"], &forced["version"]), (&json!("live"), &json!(2)), "{forced:#}");

    scene.answers(&[("", "one\ntwo\nthree")]);
    let third = ["--set", "version.retries=2", "--publish", "--wait", "--json"];
    let passed = scene.endpoints("apply", &file, &third).await?.with_status(0)?.json()?;
    assert_eq!((&passed["publication"]["state"], &passed["live"]), (&json!("live"), &json!(3)), "{passed:#}");
    Ok(())
}
