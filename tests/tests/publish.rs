//! Walk 2: one org publishes, another installs, and what each sees when the live pointer moves.

use std::time::{Duration, Instant};

use alphagate_bed::Bed;
use alphagate_tests::{Caller, Mode, Stage, in_both_modes, until};
use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};

/// What the local stack promises for a publish to be seen (issue and README).
const VISIBLE_MAX: Duration = Duration::from_secs(2);

in_both_modes! {
    a_following_install_sees_a_publish_and_a_rollback_and_a_pinned_one_does_not,
    a_withdrawn_endpoint_is_gone_at_once_for_everybody,
    c08_records_that_arrive_out_of_order_leave_kv_at_the_highest_revision,
}

/// The version is told apart by the instructions that reach the provider.
async fn served_instructions(stage: &Stage, caller: &Caller) -> Result<Value> {
    let (status, body) = caller.ask(json!({})).await?;
    if status != 200 {
        bail!("{status}: {body}");
    }
    let seen = stage.calls().requests().pop().context("no call reached the provider")?;
    Ok(seen.json().context("the provider saw no JSON")?["instructions"].clone())
}

async fn sees(stage: &Stage, caller: &Caller, instructions: &str) -> Result<()> {
    let seen = async || Ok((served_instructions(stage, caller).await? == instructions).then_some(()));
    until(instructions, VISIBLE_MAX, seen).await
}

async fn status(caller: &Caller) -> Result<u16> {
    Ok(caller.ask(json!({})).await?.0)
}

async fn a_following_install_sees_a_publish_and_a_rollback_and_a_pinned_one_does_not(
    mode: Mode,
) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({"instructions": "one"}))).await?;
    let (_, following) = stage.consumer("follows", None).await?;
    let (_, pinned) = stage.consumer("pinned", Some(1)).await?;
    for caller in [&stage.caller, &following, &pinned] {
        assert_eq!(served_instructions(&stage, caller).await?, "one");
    }
    stage.caller.call_often().await?;
    let second = stage.add_version(mode.config(json!({"instructions": "two"}))).await?;
    let publication = stage.org.admin.publish(&stage.endpoint, second, Some(1)).await?;
    assert_eq!(publication["state"], "live");
    sees(&stage, &following, "two").await?;
    mode.until_seen().await;
    assert_eq!(served_instructions(&stage, &stage.caller).await?, "two");
    assert_eq!(served_instructions(&stage, &pinned).await?, "one");

    stage.org.admin.publish(&stage.endpoint, 1, Some(second)).await?;
    sees(&stage, &following, "one").await?;
    Ok(())
}

#[tokio::test]
async fn a_publish_counts_on_what_is_live() -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, json!({})).await?;
    let second = stage.add_version(json!({"instructions": "two"})).await?;
    let path = format!("/v1/endpoints/{}/publications", stage.endpoint);
    let body = json!({"version": second, "expected_live": null});
    let reply = stage.org.admin.call(Method::POST, &path, Some(&body)).await?;
    assert_eq!(reply.status.as_u16(), 409);
    assert_eq!(reply.body["error"]["code"], "conflict");
    Ok(())
}

async fn a_withdrawn_endpoint_is_gone_at_once_for_everybody(mode: Mode) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    let (_, following) = stage.consumer("follows", None).await?;
    let (_, pinned) = stage.consumer("pinned", Some(1)).await?;
    for caller in [&stage.caller, &following, &pinned] {
        caller.call_often().await?;
    }
    let path = format!("/v1/endpoints/{}/withdraw", stage.endpoint);
    let reply = stage.org.admin.call(Method::POST, &path, Some(&json!({}))).await?;
    assert!(reply.status.is_success(), "{}", reply.body);
    mode.until_seen().await;
    for caller in [&stage.caller, &following, &pinned] {
        assert_eq!(status(caller).await?, 404);
    }
    Ok(())
}

#[tokio::test]
async fn an_endpoint_made_private_keeps_its_installs_and_takes_no_new_ones() -> Result<()> {
    let bed = Bed::shared().await?;
    let stage = Stage::new(bed, json!({})).await?;
    let (_, following) = stage.consumer("follows", None).await?;
    let path = format!("/v1/endpoints/{}", stage.endpoint);
    let reply = stage.org.admin.call(Method::PATCH, &path, Some(&json!({"visibility": "private"}))).await?;
    assert!(reply.status.is_success(), "{}", reply.body);
    assert_eq!(status(&following).await?, 200);

    let other = bed.org("Too late").await?;
    let install =
        |endpoint: &str| json!({"endpoint": endpoint, "name": "x", "version": null, "payer": "publisher"});
    let private = other.admin.call(Method::POST, "/v1/installs", Some(&install(&stage.endpoint))).await?;
    let missing = format!("ep_{}", "0".repeat(32));
    let missing = other.admin.call(Method::POST, "/v1/installs", Some(&install(&missing))).await?;
    assert_eq!(private.status.as_u16(), 404);
    assert_eq!((private.status, private.body.to_string()), (missing.status, missing.body.to_string()));
    let catalog: Value = other.admin.get("/v1/catalog?limit=100").await?;
    let listed = catalog["data"].as_array().context("no list")?;
    assert!(
        listed
            .iter()
            .all(|item| item["id"] != stage.endpoint.as_str() && item["endpoint"] != stage.endpoint.as_str())
    );
    Ok(())
}

#[tokio::test]
async fn a_foreign_endpoint_by_name_or_id_is_the_same_404_as_a_missing_one() -> Result<()> {
    let bed = Bed::shared().await?;
    let stage = Stage::new(bed, json!({})).await?;
    let other = Stage::new(bed, json!({})).await?;
    let mut bodies = Vec::new();
    for name in [
        stage.caller.name.clone(),
        stage.endpoint.clone(),
        "missing".into(),
        format!("{}@1", stage.caller.name),
    ] {
        let caller = Caller { name, ..other.caller.clone() };
        let response = caller.post(json!({})).await?;
        assert_eq!(response.status().as_u16(), 404);
        bodies.push(response.bytes().await?);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    Ok(())
}

#[tokio::test]
async fn a_thousand_followers_cost_one_pointer_put() -> Result<()> {
    // A bed of its own: the knobs count the puts of all tests that share one.
    let bed: &'static Bed =
        Box::leak(Box::new(Bed::start(alphagate_bed::Options::default().with_knobs()).await?));
    let stage = Stage::new(bed, json!({"instructions": "one"})).await?;
    let number = if std::env::var_os("AG_DEEP").is_some() { 1_000 } else { 60 };
    let mut followers = Vec::new();
    for n in 0..number {
        let org = bed.org(&format!("Follower {n}")).await?;
        org.admin.install(&stage.endpoint, "follows", None).await?;
        followers.push(org);
    }
    let second = stage.add_version(json!({"instructions": "two"})).await?;
    settled(bed).await?;
    let before = bed.edge_counts().await?.kv_puts;
    stage.org.admin.publish(&stage.endpoint, second, Some(1)).await?;
    settled(bed).await?;
    assert_eq!(bed.edge_counts().await?.kv_puts - before, 1);
    let org = followers.last().context("no followers")?;
    let key = org.admin.mint_key("late", &["call"]).await?;
    let caller = Caller { key, name: "follows".into(), ..stage.caller.clone() };
    assert_eq!(served_instructions(&stage, &caller).await?, "two");
    Ok(())
}

/// Waits until no KV put has been made for a while: the objects' alarms are done.
async fn settled(bed: &Bed) -> Result<()> {
    let mut last = bed.edge_counts().await?.kv_puts;
    let mut quiet = Instant::now();
    while quiet.elapsed() < Duration::from_millis(1_500) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = bed.edge_counts().await?.kv_puts;
        if now != last {
            (last, quiet) = (now, Instant::now());
        }
    }
    Ok(())
}

async fn c08_records_that_arrive_out_of_order_leave_kv_at_the_highest_revision(mode: Mode) -> Result<()> {
    let bed = Bed::shared().await?;
    let stage = Stage::new(bed, mode.config(json!({"instructions": "one"}))).await?;
    let second = stage.add_version(mode.config(json!({"instructions": "two"}))).await?;
    let key = format!("v1/live/{}", stage.endpoint);
    let live = |place: u64| {
        let version = if place == 9 { second } else { 1 };
        let value =
            json!({"kind": "live", "publisher": stage.org.id, "version": version, "withdrawn": false});
        json!({"key": key, "revision": 1_000_000_000_000_000 + place, "value": value})
    };
    for places in [[5, 3, 9], [1, 9, 7], [8, 2, 4]] {
        let [one, other, third] = places.map(|place| stage.push(live(place)));
        let (one, other, third) = tokio::join!(one, other, third);
        one.and(other).and(third)?;
    }
    let highest = async || Ok((bed.kv_record(&key).await? == live(9)).then_some(()));
    until("KV has the highest revision", Duration::from_secs(10), highest).await?;
    for _ in 0..3 {
        stage.push(live(6)).await?;
        assert_eq!(served_instructions(&stage, &stage.caller).await?, "two");
    }
    assert_eq!(bed.kv_record(&key).await?, live(9));
    Ok(())
}
