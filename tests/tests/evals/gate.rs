//! The gate with the real thing behind it: a version that fails stays a draft, a mended one goes live by itself.

use std::time::Duration;

use alphagate_tests::{has_gvisor, until};
use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use super::scene::{Scene, data_source, python, shared};

/// A publication of two items: two samples and two sandboxes.
const PUBLICATION_MAX: Duration = Duration::from_secs(120);
/// Haikus have three lines.
const GRADER: &str =
    "def grade(sample, item):\n    return float(len(sample['output_text'].splitlines()) == 3)\n";

async fn ended(scene: &Scene, publication: &str) -> Result<Value> {
    let path = format!("/v1/endpoints/{}/publications/{publication}", scene.stage.endpoint);
    until("the end of the publication", PUBLICATION_MAX, async || {
        let found: Value = scene.stage.org.admin.get(&path).await?;
        Ok((found["state"] != "running").then_some(found))
    })
    .await
}

async fn live(scene: &Scene) -> Result<Value> {
    let path = format!("/v1/endpoints/{}", scene.stage.endpoint);
    Ok(scene.stage.org.admin.get::<Value>(&path).await?["live"].clone())
}

#[tokio::test]
async fn a_version_that_fails_stays_a_draft_and_a_mended_one_goes_live_by_itself() -> Result<()> {
    if !has_gvisor()? {
        return Ok(());
    }
    let scene = Scene::new(shared().await?).await?;
    let (admin, endpoint) = (&scene.stage.org.admin, &scene.stage.endpoint);
    let eval = scene.eval("haiku", &json!([python("lines", GRADER)])).await?;
    let keeper = admin.mint_key("keeper", &["admin", "gate"]).await?;
    let keeper = scene.stage.bed.control_as(&keeper.secret)?;
    let items = [json!({"task": "rain"}), json!({"task": "broken"})];
    let gate = json!({"evals": [{"eval": eval, "data_source": data_source(&items), "thresholds": {"pass_rate": 1.0}}],
        "deadline_s": 300});
    let _: Value = keeper.send(Method::PUT, &format!("/v1/endpoints/{endpoint}/gate"), &gate).await?;

    scene.answers(&[("broken", "one line"), ("rain", "one\ntwo\nthree")]);
    assert_eq!(scene.stage.add_version(json!({"instructions": "Two."})).await?, 2);
    let publication = admin.publish(endpoint, 2, Some(1)).await?;
    assert_eq!(publication["state"], "running", "{publication:#}");
    let failed = ended(&scene, publication["id"].as_str().unwrap_or_default()).await?;
    assert_eq!(failed["state"], "failed", "{failed:#}");
    assert_eq!(live(&scene).await?, 1);
    let failing = failed["evals"][0]["failing"].as_array().cloned().unwrap_or_default();
    assert_eq!(failing.len(), 1, "the item that failed is named: {failed:#}");

    scene.answers(&[("rain", "one\ntwo\nthree"), ("broken", "four\nfive\nsix")]);
    assert_eq!(scene.stage.add_version(json!({"instructions": "Three."})).await?, 3);
    let publication = admin.publish(endpoint, 3, Some(1)).await?;
    let went_live = ended(&scene, publication["id"].as_str().unwrap_or_default()).await?;
    assert_eq!(went_live["state"], "live", "{went_live:#}");
    assert_eq!(live(&scene).await?, 3);
    assert_eq!(scene.stage.caller.ask(json!({})).await?.0, 200);

    // Back to a version that never passed: the gate stands there, too.
    let back = admin.publish(endpoint, 2, Some(3)).await?;
    assert_ne!(back["state"], "live", "{back:#}");
    Ok(())
}
