//! Keys of runs at the edge: what they may call, what nobody else may, and when they end.

use alphagate_bed::Bed;
use alphagate_tests::{Caller, Stage, until};
use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{PATIENCE, RunKey, new_run};

async fn instructions_seen(stage: &Stage) -> Result<Value> {
    let seen = stage.calls().requests().pop().context("no call reached the provider")?;
    Ok(seen.json().context("the provider saw no JSON")?["instructions"].clone())
}

async fn models(caller: &Caller) -> Result<Vec<String>> {
    let request = caller.http.get(format!("{}/v1/models", caller.edge_url)).bearer_auth(&caller.key.secret);
    let list: Value = request.send().await?.error_for_status()?.json().await?;
    let data = list["data"].as_array().context("no list")?;
    Ok(data.iter().filter_map(|model| Some(model["id"].as_str()?.to_owned())).collect())
}

/// The stage, with a second version that was never live.
async fn staged() -> Result<Stage> {
    let stage = Stage::new(Bed::shared().await?, json!({"instructions": "one"})).await?;
    assert_eq!(stage.add_version(json!({"instructions": "two"})).await?, 2);
    Ok(stage)
}

#[tokio::test]
async fn a_runs_key_calls_the_version_under_test_while_another_one_is_live() -> Result<()> {
    let stage = staged().await?;
    let under_test = format!("{}@2", stage.caller.name);
    let key = RunKey::open(&stage, new_run(), 1, &[&under_test]).await?;
    let caller = key.caller(&stage, &under_test);
    let (status, body) = caller.ask(json!({})).await?;
    assert_eq!((status, &body["model"]), (200, &json!(under_test)), "{body}");
    assert_eq!(instructions_seen(&stage).await?, "two");
    caller.stream(json!({"words": 3})).await?;
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    assert_eq!(instructions_seen(&stage).await?, "one");

    let events = stage.usage(3).await?;
    let of_run: Vec<_> = events.iter().filter(|event| event["key"] == key.key.id.to_string()).collect();
    assert_eq!(of_run.len(), 2);
    assert!(of_run.iter().all(|event| event["version"] == 2), "{of_run:?}");
    Ok(())
}

#[tokio::test]
async fn every_other_text_is_the_same_404_as_a_name_that_does_not_exist() -> Result<()> {
    let stage = staged().await?;
    let name = stage.caller.name.clone();
    let (org, consumer) = stage.consumer("theirs", None).await?;
    let key = RunKey::open(&stage, new_run(), 1, &[&format!("{name}@2"), &format!("{name}@9")]).await?;
    let run_caller = |model: &str| key.caller(&stage, model);
    let ordinary = |model: &str| Caller { name: model.to_owned(), ..stage.caller.clone() };
    let theirs = |model: &str| Caller { name: model.to_owned(), ..consumer.clone() };
    let callers = [
        ordinary("never-made"),
        ordinary(&format!("{name}@1")),
        ordinary(&format!("{name}@2")),
        ordinary(&format!("{name}@")),
        ordinary("@"),
        theirs("theirs@1"),
        run_caller("never-made"),
        run_caller(&name),
        run_caller(&format!("{name}@1")),
        run_caller(&format!("{name}@02")),
        run_caller(&format!("{name}@9")),
    ];
    let mut bodies = Vec::new();
    for caller in callers {
        let answer = caller.post(json!({})).await?;
        assert_eq!(answer.status().as_u16(), 404, "{}", caller.name);
        bodies.push(answer.bytes().await?);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    let installed = new_run();
    let other = Stage { org, ..staged().await? };
    let of_installer = RunKey::open(&other, installed, 1, &["theirs", "theirs@1"]).await?;
    assert_eq!(
        of_installer.caller(&stage, "theirs").ask(json!({})).await?.0,
        200,
        "a judge may be an install"
    );
    assert_eq!(
        of_installer.caller(&stage, "theirs@1").ask(json!({})).await?.0,
        404,
        "but not by its version"
    );
    Ok(())
}

#[tokio::test]
async fn a_runs_key_lists_its_own_names_and_a_withdrawn_endpoint_refuses_it() -> Result<()> {
    let stage = staged().await?;
    let name = &stage.caller.name;
    let draft = json!({"name": format!("{name}-draft"), "visibility": "private"});
    let draft_id = stage.org.admin.create_endpoint(&draft).await?;
    let target = json!({"base_url": stage.bed.provider().base_url(), "model": stage.model, "credential": stage.credential});
    stage.org.admin.create_version(&draft_id, &json!({"targets": [target]})).await?;
    let never_live = format!("{name}-draft@1");
    let under_test = format!("{name}@2");
    let only = [never_live.as_str(), &under_test, name, &format!("{name}@7"), "never-made"];
    let key = RunKey::open(&stage, new_run(), 1, &only).await?;
    assert_eq!(models(&key.caller(&stage, name)).await?, [never_live.as_str(), &under_test, name]);
    assert_eq!(models(&stage.caller).await?, [name.as_str()]);
    assert_eq!(key.caller(&stage, &never_live).ask(json!({})).await?.0, 200, "it was never live");

    let path = format!("/v1/endpoints/{}/withdraw", stage.endpoint);
    let reply = stage.org.admin.call(Method::POST, &path, Some(&json!({}))).await?;
    assert!(reply.status.is_success(), "{}", reply.body);
    assert_eq!(key.caller(&stage, &under_test).ask(json!({})).await?.0, 404);
    assert_eq!(models(&key.caller(&stage, name)).await?, [never_live]);
    Ok(())
}

#[tokio::test]
async fn a_closed_key_is_refused_at_once_and_an_opened_one_works_at_once() -> Result<()> {
    let stage = staged().await?;
    let (run, name) = (new_run(), stage.caller.name.clone());
    let first = RunKey::open(&stage, run, 1, &[&name]).await?;
    assert_eq!(first.caller(&stage, &name).ask(json!({})).await?.0, 200);
    RunKey::close(&stage, run, 1).await?;
    assert_eq!(first.caller(&stage, &name).ask(json!({})).await?.0, 401);
    // Isolate and KV say that it is gone; the object knows better.
    let second = RunKey::open(&stage, run, 2, &[&name]).await?;
    assert_eq!(second.caller(&stage, &name).ask(json!({})).await?.0, 200);
    assert_eq!(first.caller(&stage, &name).ask(json!({})).await?.0, 401, "an older text never works again");
    // Another epoch, right after a call with this one.
    let third = RunKey::open(&stage, run, 3, &[&format!("{name}@2")]).await?;
    assert_eq!(third.caller(&stage, &format!("{name}@2")).ask(json!({})).await?.0, 200);
    let gone = async || Ok((second.caller(&stage, &name).ask(json!({})).await?.0 == 401).then_some(()));
    until("the older epoch refused", PATIENCE, gone).await
}

#[tokio::test]
async fn the_orgs_quotas_hold_for_a_runs_key() -> Result<()> {
    let stage = staged().await?;
    let quota =
        json!([{"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 1}}]);
    stage.org.admin.put_quotas(&quota).await?;
    let under_test = format!("{}@2", stage.caller.name);
    let key = RunKey::open(&stage, new_run(), 1, &[&under_test]).await?;
    assert_eq!(key.caller(&stage, &under_test).ask(json!({})).await?.0, 200);
    let (status, body) = key.caller(&stage, &under_test).ask(json!({})).await?;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("quota_exceeded")));
    Ok(())
}
