//! A canary at the edge: which keys it serves, and for how long.

use alphagate_bed::Bed;
use alphagate_tests::{Caller, Stage};
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

/// Keys that call: at half and half, all on one side once in half a million runs.
const KEYS: usize = 20;

/// Which of the versions served each caller; a version is told by its instructions, which only the provider sees.
async fn served(stage: &Stage, callers: &[Caller]) -> Result<Vec<u64>> {
    let mut versions = Vec::new();
    for caller in callers {
        let answer = caller.post(json!({"x_fake": {"echo_instructions": true}})).await?.error_for_status()?;
        drop(answer.bytes().await?);
        let seen = stage.calls().requests().pop().context("no call")?.json().context("no JSON")?;
        versions.push(if seen["instructions"] == "The second." { 2 } else { 1 });
    }
    Ok(versions)
}

#[tokio::test]
async fn a_key_stays_on_its_side_of_a_canary() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({"instructions": "The first."})).await?;
    let second = stage.add_version(json!({"instructions": "The second."})).await?;
    let mut callers = Vec::new();
    for number in 0..KEYS {
        let key = stage.org.admin.mint_key(&format!("key {number}"), &["call"]).await?;
        callers.push(Caller { key, ..stage.caller.clone() });
    }
    assert_eq!(served(&stage, &callers).await?, [1; KEYS]);

    let path = format!("/v1/endpoints/{}/canary", stage.endpoint);
    let start = async |percent: u8| -> Result<Value> {
        stage.org.admin.send(Method::POST, &path, &json!({"version": second, "percent": percent})).await
    };
    assert_eq!(start(50).await?["visible"], json!({"edge_accepted": true}));
    let half = served(&stage, &callers).await?;
    assert!(half.contains(&1) && half.contains(&2), "{half:?}");
    assert_eq!(served(&stage, &callers).await?, half, "no draw for each request");

    start(90).await?;
    let most = served(&stage, &callers).await?;
    let kept = half.iter().zip(&most).all(|(before, now)| *before == 1 || *now == 2);
    assert!(kept, "who was served the canary is served it on: {half:?} {most:?}");

    stage.org.admin.call(Method::DELETE, &path, None).await?.success::<Value>()?;
    assert_eq!(served(&stage, &callers).await?, [1; KEYS]);
    let events = stage.usage(4 * KEYS + KEYS).await?;
    let canaries = events.iter().filter(|event| event["version"] == 2).count();
    let expected = 2 * half.iter().filter(|version| **version == 2).count()
        + most.iter().filter(|version| **version == 2).count();
    assert_eq!(canaries, expected, "the usage events say so");
    Ok(())
}

#[tokio::test]
async fn a_pinned_install_sees_no_canary_and_a_following_one_does() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({"instructions": "The first."})).await?;
    let second = stage.add_version(json!({"instructions": "The second."})).await?;
    let (_, pinned) = stage.consumer("pinned", Some(1)).await?;
    let (following_org, following) = stage.consumer("following", None).await?;
    let path = format!("/v1/endpoints/{}/canary", stage.endpoint);
    let body = json!({"version": second, "percent": 99});
    let _: Value = stage.org.admin.send(Method::POST, &path, &body).await?;
    let mut followers = vec![following.clone()];
    for number in 0..4 {
        let key = following_org.admin.mint_key(&format!("key {number}"), &["call"]).await?;
        followers.push(Caller { key, ..following.clone() });
    }
    assert_eq!(served(&stage, &[pinned]).await?, [1]);
    assert!(served(&stage, &followers).await?.contains(&2));
    Ok(())
}
