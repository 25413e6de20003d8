//! The outbox: never lost, never out of order, one org never in the way of another.

use crate::bed::{Bed, Control, Org, environment, settings, text};
use alphagate_contract::record::RecordValue;
use serde_json::json;
use std::time::{Duration, Instant};

/// Nobody waits for the edge in these tests.
const IMPATIENT: (&str, &str) = ("AG_PUSH_WAIT_MS", "50");

async fn pending(bed: &Bed) -> i64 {
    let mut db = bed.database.superuser().await;
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM outbox").fetch_one(&mut db).await.unwrap();
    count
}

/// Waits until nothing is left to push.
async fn drained(bed: &Bed) {
    for _ in 0..200 {
        if pending(bed).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} records were never pushed", pending(bed).await);
}

/// Waits until the edge has been told of a record, whatever it answered.
async fn arrived(bed: &Bed, key: &str) {
    for _ in 0..200 {
        if bed.edge.record(key).is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{key} never arrived");
}

async fn key(bed: &Bed, org: &Org) -> String {
    let made = bed.make(org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    text(&made["id"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c07_what_was_committed_is_pushed_after_a_crash() {
    let mut bed = Bed::with(&[IMPATIENT]).await;
    let org = bed.org("a").await;
    bed.edge.refuse(Some(503));
    let key = key(&bed, &org).await;
    assert!(bed.edge.record(&format!("v1/key/{key}")).is_none());
    assert!(pending(&bed).await > 0);
    // The process is gone with its connections; another one starts on what it left.
    bed.control.stop().await;
    bed.edge.refuse(None);
    let settings = settings(&environment(&bed.secrets, &bed.database, bed.edge.url()), &[]);
    let _second = Control::start(settings).await;
    drained(&bed).await;
    assert!(matches!(bed.edge.value(&format!("v1/key/{key}")), RecordValue::Key(_)));
    bed.edge.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_was_lost_is_pushed_again_and_harms_nothing() {
    let bed = Bed::with(&[IMPATIENT]).await;
    let org = bed.org("a").await;
    bed.edge.lose_answers(true);
    let key = key(&bed, &org).await;
    arrived(&bed, &format!("v1/key/{key}")).await;
    bed.edge.lose_answers(false);
    drained(&bed).await;
    let times =
        bed.edge.order(&org.id).iter().filter(|(pushed, _)| *pushed == format!("v1/key/{key}")).count();
    assert!(times >= 2);
    bed.edge.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn several_replicas_push_every_orgs_records_in_order() {
    let bed = Bed::with(&[IMPATIENT]).await;
    let replicas = [bed.replica(&[IMPATIENT]).await, bed.replica(&[IMPATIENT]).await];
    let org = bed.org("a").await;
    let endpoint = bed.published(&org, "e").await;
    bed.edge.uneven_delay(Duration::from_millis(30));
    bed.version(&org, &endpoint).await;
    let urls = [&bed.control.url, &replicas[0].url, &replicas[1].url];
    let mut live = 1;
    for round in 0..30 {
        let next = if live == 1 { 2 } else { 1 };
        let url = format!("{}/v1/endpoints/{endpoint}/publications", urls[round % 3]);
        let body = json!({"version": next, "expected_live": live});
        let status = bed.http.post(url).bearer_auth(&org.admin).json(&body).send().await.unwrap().status();
        assert_eq!(status, 201);
        live = next;
    }
    drained(&bed).await;
    let pointer = format!("v1/live/{endpoint}");
    let mut revisions: Vec<u64> = bed
        .edge
        .order(&org.id)
        .into_iter()
        .filter(|(key, _)| *key == pointer)
        .map(|(_, revision)| revision)
        .collect();
    assert!(revisions.is_sorted(), "{revisions:?}");
    revisions.dedup();
    assert_eq!(revisions.len(), 32, "created, published, and moved 30 times");
    let RecordValue::Live(record) = bed.edge.value(&pointer) else { panic!() };
    assert_eq!(record.version, Some(live));
    bed.edge.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_org_that_fails_backs_off_and_does_not_block_others() {
    let bed = Bed::with(&[("AG_OUTBOX_BACKOFF_BASE_MS", "100"), ("AG_OUTBOX_BACKOFF_MAX_MS", "60000")]).await;
    let (sick, well) = (bed.org("sick").await, bed.org("well").await);
    bed.edge.refuse_org(Some(&sick.id));
    key(&bed, &sick).await;
    let before = bed.edge.attempts(&sick.id).len();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let attempts = bed.edge.attempts(&sick.id).len() - before;
    assert!(attempts <= 15, "{attempts} attempts in 1.5 s: polls at 50 ms would make 30");
    let answer = bed.make(&well, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    assert_eq!(answer["edge"], "accepted");
    bed.edge.refuse_org(None);
    // Someone who waits cuts the backoff short.
    let answer = bed.make(&sick, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    assert_eq!(answer["edge"], "accepted");
    drained(&bed).await;
    bed.edge.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_does_not_wait_for_an_edge_that_hangs() {
    let bed = Bed::with(&[("AG_PUSH_WAIT_MS", "200")]).await;
    let org = bed.org("a").await;
    bed.edge.delay(Duration::from_secs(3));
    let started = Instant::now();
    let answer = bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    assert_eq!(answer["edge"], "pending");
    assert!(started.elapsed() < Duration::from_millis(2_500), "{:?}", started.elapsed());
    bed.edge.delay(Duration::ZERO);
    drained(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_row_with_a_smaller_id_that_commits_during_a_push_is_not_lost() {
    let bed = Bed::with(&[IMPATIENT]).await;
    let org = bed.org("a").await;
    drained(&bed).await;
    // A transaction takes an outbox id and stays open.
    let mut late = bed.database.superuser().await;
    sqlx::query("BEGIN").execute(&mut late).await.unwrap();
    let key = format!("v1/key/key_{:032x}", 77);
    for sql in [
        "INSERT INTO records (org_id, key, revision, value)
         SELECT id, $1, nextval('record_revision'), '{\"kind\":\"gone\"}' FROM orgs",
        "INSERT INTO outbox (org_id, record_key, revision, payload)
         SELECT org_id, key, revision, value FROM records WHERE key = $1",
    ] {
        sqlx::query(sql).bind(&key).execute(&mut late).await.unwrap();
    }
    // A later one commits and is being pushed while the first one commits.
    bed.edge.delay(Duration::from_millis(400));
    bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    sqlx::query("COMMIT").execute(&mut late).await.unwrap();
    bed.edge.delay(Duration::ZERO);
    drained(&bed).await;
    assert_eq!(bed.edge.value(&key), RecordValue::Gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_long_backlog_goes_out_in_batches_and_in_order() {
    let bed = Bed::with(&[IMPATIENT]).await;
    let org = bed.org("a").await;
    drained(&bed).await;
    bed.edge.refuse(Some(500));
    let mut db = bed.database.superuser().await;
    for sql in [
        "INSERT INTO records (org_id, key, revision, value)
         SELECT id, 'v1/key/key_' || lpad(to_hex(n), 32, '0'), nextval('record_revision'), '{\"kind\":\"gone\"}'
         FROM orgs, generate_series(1, 250) AS n ORDER BY n",
        "INSERT INTO outbox (org_id, record_key, revision, payload)
         SELECT org_id, key, revision, value FROM records WHERE key LIKE 'v1/key/key_000000%' ORDER BY revision",
    ] {
        sqlx::query(sql).execute(&mut db).await.unwrap();
    }
    bed.edge.refuse(None);
    drained(&bed).await;
    let order = bed.edge.order(&org.id);
    assert!(order.len() >= 250 && order.is_sorted_by_key(|(_, revision)| *revision));
    assert!(bed.edge.attempts(&org.id).len() >= 3);
}
