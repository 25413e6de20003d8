//! Outages: control away, workerd killed, Postgres crashed. What was promised is kept, and what was used is counted
//! once.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use alphagate_bed::{Bed, Options, Postgres};
use alphagate_tests::{Caller, Mode, Stage, in_both_modes};
use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How long a settled state may take to come about.
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// How soon control answers again after Postgres is back (fault row C10).
const HEAL_MAX: Duration = Duration::from_secs(5);

in_both_modes! {
    e18_control_away_for_the_length_of_a_load_costs_no_request_and_no_event,
    e19_workerd_killed_under_load_orphans_what_ran_and_loses_nothing,
}

async fn own_bed(options: Options) -> Result<&'static Bed> {
    Ok(Box::leak(Box::new(Bed::start(options).await?)))
}

/// The load's length: seconds by default, an hour's worth of requests in the long form.
fn load() -> usize {
    if std::env::var_os("AG_DEEP").is_some() { 20_000 } else { 300 }
}

/// Calls `number` times, 16 at once, and answers the request ids of those that were served.
async fn serve(caller: &Caller, number: usize) -> Result<Vec<String>> {
    let mut tasks = JoinSet::new();
    for lane in 0..16 {
        let caller = caller.clone();
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for _ in (lane..number).step_by(16) {
                ids.push(served_id(&caller).await?);
            }
            anyhow::Ok(ids)
        });
    }
    let lanes = tasks.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(lanes.into_iter().flatten().collect())
}

async fn served_id(caller: &Caller) -> Result<String> {
    let response = caller.post(json!({})).await?;
    let id = response.headers().get("x-request-id").context("no x-request-id")?.to_str()?.to_owned();
    let status = response.status();
    let body = response.text().await?;
    if status != 200 {
        bail!("{status}: {body}");
    }
    Ok(id)
}

/// Waits until control has an event for each of `ids`, and answers all events by id. Fails on a doubled one.
async fn events(stage: &Stage, ids: &HashSet<String>) -> Result<HashMap<String, Value>> {
    let start = Instant::now();
    loop {
        let events = stage.org.admin.usage().await?;
        let by_id: HashMap<String, Value> = events
            .iter()
            .filter_map(|event| Some((event["id"].as_str()?.to_owned(), event.clone())))
            .collect();
        assert_eq!(by_id.len(), events.len(), "an event is there twice");
        let missing = ids.iter().filter(|id| !by_id.contains_key(*id)).count();
        if missing == 0 {
            return Ok(by_id);
        }
        if start.elapsed() > SETTLE_MAX {
            bail!("{missing} of {} events are missing", ids.len());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn e18_control_away_for_the_length_of_a_load_costs_no_request_and_no_event(mode: Mode) -> Result<()> {
    let bed = own_bed(Options::default()).await?;
    let stage = Stage::new(bed, mode.config(json!({}))).await?;
    let mut ids = vec![served_id(&stage.caller).await?];
    bed.stop_control().await;
    ids.extend(serve(&stage.caller, load()).await?);
    // What ended under a lease is in the ledger when the lease has been returned.
    tokio::time::sleep(2 * mode.unseen_max()).await;
    // The isolates, their memory and the objects go too; KV and the objects' storage stay.
    bed.restart_edge().await?;
    ids.extend(serve(&stage.caller, load()).await?);
    bed.start_control().await?;
    let expected: HashSet<String> = ids.iter().cloned().collect();
    let events = events(&stage, &expected).await?;
    assert_eq!(events.len(), expected.len());
    assert!(events.values().all(|event| event["outcome"] == "completed"));
    Ok(())
}

async fn e19_workerd_killed_under_load_orphans_what_ran_and_loses_nothing(mode: Mode) -> Result<()> {
    let bed = own_bed(Options::default().edge_var("AG_RESERVATION_TTL_MS", 3_000)).await?;
    let stage = Stage::new(bed, mode.config(json!({}))).await?;
    let quota = json!([{"subject": {"kind": "org"}, "limit": {"concurrency": 20}}]);
    stage.org.admin.put_quotas(&quota).await?;
    let served = serve(&stage.caller, 50).await?;
    let mut running = JoinSet::new();
    for _ in 0..20 {
        let caller = stage.caller.clone();
        running.spawn(async move { caller.ask(json!({"wait_for_release": true})).await });
    }
    stage.calls().wait_until(|counts| counts.held == 20, Duration::from_secs(20)).await?;
    bed.restart_edge().await?;
    let answers = running.join_all().await;
    assert!(answers.iter().all(Result::is_err), "a killed workerd answers nobody");
    // The places of the lost requests are free again once their reservations end.
    let start = Instant::now();
    let after = loop {
        if let Ok(id) = served_id(&stage.caller).await {
            break id;
        }
        assert!(start.elapsed() < SETTLE_MAX, "the reservations are stuck");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let expected: HashSet<String> = served.into_iter().chain([after]).collect();
    events(&stage, &expected).await?;
    // The first reservation that ended made room for the request above; the others end in their own time.
    let all = stage.usage(expected.len() + 20).await?;
    let orphaned = all.iter().filter(|event| event["outcome"] == "orphaned").count();
    assert_eq!(orphaned, 20, "what was admitted and lost is charged in full");
    Ok(())
}

#[tokio::test]
async fn c07_control_killed_between_commit_and_push_pushes_after_its_restart() -> Result<()> {
    let bed = own_bed(Options::default().control_var("AG_PUSH_TIMEOUT_MS", 500)).await?;
    let stage = Stage::new(bed, json!({"instructions": "one"})).await?;
    let second = stage.add_version(json!({"instructions": "two"})).await?;
    bed.kill_edge().await;
    let publication = stage.org.admin.publish(&stage.endpoint, second, Some(1)).await?;
    assert_eq!(publication["visible"]["edge_accepted"], false, "{publication}");
    bed.kill_control().await;
    bed.start_edge().await?;
    served_id(&stage.caller).await.context("the old version goes on")?;
    bed.start_control().await?;
    let start = Instant::now();
    loop {
        served_id(&stage.caller).await?;
        let seen = stage.calls().requests().pop().and_then(|seen| seen.json()).context("no call")?;
        if seen["instructions"] == "two" {
            return Ok(());
        }
        assert!(start.elapsed() < SETTLE_MAX, "the publish never arrived");
    }
}

#[tokio::test]
async fn c10_postgres_crashing_mid_write_is_503_and_heals_and_leaves_no_half_rows() -> Result<()> {
    let bed = own_bed(Options { postgres: Postgres::Own, ..Options::default() }).await?;
    let org = bed.org("Crash").await?;
    let mut writers = JoinSet::new();
    for lane in 0..4 {
        let admin = org.admin.clone();
        writers.spawn(async move {
            let mut made = Vec::new();
            for n in 0..60 {
                let name = format!("e-{lane}-{n}");
                let body = json!({"name": name, "visibility": "private"});
                let reply = admin.call(Method::POST, "/v1/endpoints", Some(&body)).await?;
                match reply.status.as_u16() {
                    201 => made.push(name),
                    503 => assert_eq!(reply.body["error"]["code"], "store_unavailable"),
                    other => bail!("{other}: {}", reply.body),
                }
            }
            anyhow::Ok(made)
        });
    }
    bed.restart_postgres_immediate().await?;
    let back = Instant::now();
    while org.admin.call(Method::GET, "/v1/org", None).await?.status != 200 {
        assert!(back.elapsed() < HEAL_MAX, "control has not healed in {HEAL_MAX:?}");
    }
    let made: HashSet<String> =
        writers.join_all().await.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    let listed = all_names(&org).await?;
    assert!(made.is_subset(&listed), "an endpoint that was answered with 201 is lost");
    Ok(())
}

async fn all_names(org: &alphagate_bed::seed::Org) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    let mut path = "/v1/endpoints?limit=100".to_owned();
    loop {
        let page: Value = org.admin.get(&path).await?;
        for item in page["data"].as_array().context("no list")? {
            names.insert(item["name"].as_str().context("no name")?.to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/endpoints?limit=100&cursor={cursor}"),
            None => return Ok(names),
        }
    }
}
