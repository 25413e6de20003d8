//! The vault in the whole stack: every key of ours is rotated while calls run, and no secret lies anywhere in clear.

mod vault {
    pub mod calls;
    pub mod leaks;
    pub mod scene;
}

use std::time::Duration;

use alphagate_tests::until;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use vault::{
    calls::Calls,
    leaks::{Needle, find, places},
    scene::{Ring, Scene, seal_keys},
};

/// How long a push, a round of renewal or an event may take on a loaded machine.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// Calls that must have been served in each state of the keys, between two steps.
const CALLS_A_STEP: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_is_rotated_while_calls_run_and_none_fails() -> Result<()> {
    let mut scene = Scene::start().await?;
    let calls = Calls::start(&scene.door.url, &scene.stage.caller)?;
    calls.more(CALLS_A_STEP).await?;
    api_key(&scene, &calls).await?;
    key_ring(&mut scene, &calls).await?;
    sealing_key(&scene, &calls).await?;
    data_key(&scene, &calls).await?;
    master_key(&scene, &calls).await?;
    credential(&scene, &calls).await?;
    let (served, failures) = calls.stop().await;
    assert!(failures.is_empty(), "{} of {served} calls failed: {failures:?}", failures.len());
    let path = format!("/v1/credentials/{}", scene.stage.credential);
    until("uses", SETTLE_MAX, async || {
        let shown: Value = scene.admin.get(&path).await?;
        Ok((shown["uses"].as_u64() > Some(CALLS_A_STEP) && shown["last_used_at"].is_string()).then_some(()))
    })
    .await
}

/// A customer's key: the old one works beside the new one until it is revoked.
async fn api_key(scene: &Scene, calls: &Calls) -> Result<()> {
    let old = scene.stage.caller.key.clone();
    let path = format!("/v1/keys/{}/rotate", old.id);
    let made: Value = scene.admin.send(reqwest::Method::POST, &path, &json!({"overlap_s": 3600})).await?;
    let new = made["secret"].as_str().context("no secret")?;
    calls.use_keys([&old.secret, new]);
    calls.more(CALLS_A_STEP).await?;
    calls.use_keys([new, new]);
    calls.settle().await?;
    scene.admin.revoke_key(&old.id).await?;
    assert_eq!(scene.call_with(&old.secret).await?, 401);
    calls.more(CALLS_A_STEP).await
}

/// The ring that signs API keys: known everywhere first, then used, and the old entry goes when no key needs it.
async fn key_ring(scene: &mut Scene, calls: &Calls) -> Result<()> {
    let ring = Ring::next(scene.bed, "AG_KEY_RING", "n1")?;
    scene.bed.set_edge_secret(ring.name, &ring.old_first());
    scene.replace_edge().await?;
    calls.more(CALLS_A_STEP).await?;
    scene.bed.set_control_secret(ring.name, &ring.new_first());
    scene.bed.replace_control().await?;
    let admin = scene.admin.mint_key("admin", &["admin"]).await?;
    let new = scene.admin.mint_key("stage", &["call"]).await?;
    let old = calls.keys();
    calls.use_keys([&old[0], &new.secret]);
    calls.more(CALLS_A_STEP).await?;
    calls.use_keys([&new.secret, &new.secret]);
    calls.settle().await?;
    let old_admin = std::mem::replace(&mut scene.admin, scene.bed.control_as(&admin.secret)?);
    scene.revoke_all_but(&[&admin.id, &new.id]).await?;
    let signed_by = scene.state().await?["signed_by"].clone();
    assert_eq!(signed_by, json!([{"key": "n1", "count": 2}]));
    scene.bed.set_edge_secret(ring.name, &ring.new);
    scene.bed.set_control_secret(ring.name, &ring.new);
    // The edge's new sealing key goes the same way: known there before anything is sealed to it.
    let (private, _) = seal_keys("n2");
    let private = format!("{},{private}", scene.bed.secrets().get("AG_SEAL_PRIVATE_KEYS")?);
    scene.bed.set_edge_secret("AG_SEAL_PRIVATE_KEYS", &private);
    scene.replace_edge().await?;
    scene.bed.replace_control().await?;
    assert_eq!(scene.call_with(&old[0]).await?, 401);
    let refused = old_admin.call(reqwest::Method::GET, "/v1/org", None).await?;
    assert_eq!(refused.status, 401, "{}", refused.body);
    calls.more(CALLS_A_STEP).await
}

/// The edge's sealing key: everything is sealed to the new one before the old one goes.
async fn sealing_key(scene: &Scene, calls: &Calls) -> Result<()> {
    let (private, public) = seal_keys("n2");
    let old = scene.bed.secrets().get("AG_SEAL_PUBLIC_KEYS")?;
    scene.bed.set_control_secret("AG_SEAL_PUBLIC_KEYS", &format!("{public},{old}"));
    scene.bed.replace_control().await?;
    scene.renew().await?;
    let sealed_to = scene.state().await?["sealed_to"].clone();
    assert_eq!(sealed_to, json!([{"key": "n2", "count": scene.credentials}]));
    let record = format!("v1/credential/{}", scene.stage.credential);
    until("the new seal in KV", SETTLE_MAX, async || {
        let record = scene.bed.kv_record(&record).await?;
        Ok((record["value"]["sealed"]["kid"] == "n2").then_some(()))
    })
    .await?;
    scene.bed.set_edge_secret("AG_SEAL_PRIVATE_KEYS", &private);
    scene.replace_edge().await?;
    calls.more(CALLS_A_STEP).await
}

/// The org's data key: the edge need not be told.
async fn data_key(scene: &Scene, calls: &Calls) -> Result<()> {
    let path = format!("/operator/v1/orgs/{}/data-key", scene.stage.org.id);
    let made: Value = scene.bed.operator()?.send(reqwest::Method::POST, &path, &json!({})).await?;
    assert_eq!((&made["number"], &made["destroyed"]), (&json!(2), &json!([1])), "{made}");
    calls.more(CALLS_A_STEP).await
}

/// The master key: every data key is wrapped anew, by the program's own command, before the old one goes.
async fn master_key(scene: &Scene, calls: &Calls) -> Result<()> {
    let ring = Ring::next(scene.bed, "AG_MASTER_RING", "n3")?;
    scene.bed.set_control_secret(ring.name, &ring.new_first());
    scene.bed.replace_control().await?;
    let said = scene.command(&["vault", "renew", "--batch", "2"]).await?;
    ensure!(said.contains("data keys:") && said.contains("0 left"), "{said}");
    let state = scene.state().await?;
    assert_eq!(state["wrapped_by"], json!([{"key": "local:n3", "count": scene.orgs}]), "{state}");
    ensure!(scene.command(&["vault", "status"]).await?.contains("local:n3"));
    scene.bed.set_control_secret(ring.name, &ring.new);
    scene.bed.replace_control().await?;
    assert_eq!(scene.state().await?["missing"], json!([]));
    calls.more(CALLS_A_STEP).await
}

/// The provider's secret: from the answer on, every call that begins goes with the new one.
async fn credential(scene: &Scene, calls: &Calls) -> Result<()> {
    let path = format!("/v1/credentials/{}/secret", scene.stage.credential);
    let body = json!({"secret": "sk-the-newest-one"});
    let changed: Value = scene.admin.send(reqwest::Method::PUT, &path, &body).await?;
    assert_eq!((&changed["edge"], &changed["last_four"]), (&json!("accepted"), &json!("-one")));
    calls.settle().await?;
    let last = scene.stage.calls().requests().last().map_or(0, |seen| seen.id);
    calls.more(CALLS_A_STEP).await?;
    let seen = scene.stage.calls().requests();
    let later: Vec<_> = seen.iter().filter(|seen| seen.id > last).collect();
    ensure!(!later.is_empty(), "the provider saw nothing");
    for seen in later {
        assert_eq!(seen.header("authorization"), Some("Bearer sk-the-newest-one"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_lies_anywhere_in_clear_and_a_planted_one_is_found() -> Result<()> {
    let scene = Scene::start().await?;
    let secret = "pk_leak_7d1f0c52b9e84a36";
    let mut bodies = Vec::new();
    let path = format!("/v1/credentials/{}/secret", scene.stage.credential);
    let put = (reqwest::Method::PUT, path.as_str(), Some(json!({"secret": secret})));
    let data_key = format!("/operator/v1/orgs/{}/data-key", scene.stage.org.id);
    let operator = scene.bed.operator()?;
    for (who, (method, path, body)) in [
        (&scene.admin, put),
        (&operator, (reqwest::Method::POST, &data_key, Some(json!({})))),
        (&operator, (reqwest::Method::GET, "/operator/v1/vault", None)),
        (&operator, (reqwest::Method::POST, "/operator/v1/vault/renew", Some(json!({})))),
        (&scene.admin, (reqwest::Method::POST, "/v1/credentials", Some(json!({"secret": secret})))),
        (&scene.admin, (reqwest::Method::GET, "/v1/credentials", None)),
        (&scene.admin, (reqwest::Method::GET, "/v1/keys", None)),
        (&scene.admin, (reqwest::Method::GET, "/v1/audit?limit=100", None)),
        (&scene.admin, (reqwest::Method::GET, "/v1/audit/export", None)),
    ] {
        bodies.push(who.call(method, path, body.as_ref()).await?.body.to_string());
    }
    // Served, streamed, refused by the provider, and cut off by it.
    for fault in [json!({}), json!({"status": 401}), json!({"status": 500}), json!({"refuse": "reset"})] {
        let answer = scene.stage.caller.post(json!({"x_fake": fault})).await?;
        bodies.push(format!("{:?}{}", answer.headers().clone(), answer.text().await?));
    }
    bodies.push(String::from_utf8_lossy(&scene.stage.caller.stream_bytes(json!({})).await?).into_owned());
    let seen = scene.stage.calls().requests();
    ensure!(seen.iter().any(|seen| seen.header("authorization").is_some_and(|sent| sent.ends_with(secret))));
    scene.stage.usage(2).await?;
    let mut needles = scene.needles().await?;
    needles.push(Needle::text("the provider's secret", secret));
    needles.push(Needle::text("the API key", &scene.stage.caller.key.secret));
    needles.push(Needle::text("the admin's API key", &scene.stage.org.admin_key));
    assert_eq!(find(&places(scene.bed, &bodies).await?, &needles), Vec::<String>::new());
    plant(&scene, secret, &mut bodies).await?;
    let found = find(&places(scene.bed, &bodies).await?, &needles);
    for place in ["log of control", "table credentials", "table audit", "edge/", "answer"] {
        assert!(found.iter().any(|found| found.contains(place)), "nothing was found in {place}: {found:?}");
    }
    Ok(())
}

/// Puts the secret where it must not be, by the ways of everybody: as a name, as instructions, and into a log.
async fn plant(scene: &Scene, secret: &str, bodies: &mut Vec<String>) -> Result<()> {
    let origin = scene.bed.provider().url();
    let body = json!({"name": secret, "origin": origin, "secret": "sk-another"});
    let reply = scene.admin.call(reqwest::Method::POST, "/v1/credentials", Some(&body)).await?;
    bodies.push(reply.body.to_string());
    let version = scene.stage.add_version(json!({"instructions": secret})).await?;
    scene.admin.publish(&scene.stage.endpoint, version, Some(1)).await?;
    let log = scene.bed.log_path("control");
    let mut log = std::fs::OpenOptions::new().append(true).open(log)?;
    std::io::Write::write_all(&mut log, format!("{secret}\n").as_bytes())?;
    Ok(())
}
