//! Keys of runs: derived whenever they are needed, told to the edge, and gone when the run is over.

use crate::bed::{Bed, Org, bytes, environment, settings};
use alphagate_contract::{
    id::{OrgId, RunId},
    key::ApiKey,
    record::{KeyRecord, RecordValue},
    ring::Ring,
    secret::Secret,
};
use alphagate_control::{app::App, doors, platform::Host};
use reqwest::Method;
use std::{sync::Arc, time::Duration};

/// A replica's state, with another ring of signing keys if one is given. It pushes nothing: the bed's replica does.
pub fn replica(bed: &Bed, ring: Option<&str>) -> App {
    let environment = environment(&bed.secrets, &bed.database, bed.edge.url());
    let changes: Vec<_> = ring.map(|ring| ("AG_KEY_RING", ring)).into_iter().collect();
    App::new(settings(&environment, &changes), Arc::new(Host)).unwrap().0
}

fn run(number: u8) -> RunId {
    RunId::new(1_790_000_000_000, [number; 10])
}

fn org_id(org: &Org) -> OrgId {
    org.id.parse().unwrap()
}

/// Waits until the edge's record of the run is as wanted.
async fn told(bed: &Bed, run: RunId, wanted: impl Fn(&RecordValue) -> bool) -> RecordValue {
    let key = format!("v1/key/key_{}", run.uuid().simple());
    for _ in 0..400 {
        if let Some(record) = bed.edge.record(&key).filter(|record| wanted(&record.value)) {
            return record.value;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the edge has {:?}", bed.edge.record(&key));
}

async fn told_of(bed: &Bed, ring: &str, text: &Secret<String>) -> KeyRecord {
    let key = ApiKey::verify(&Ring::parse(ring).unwrap(), text.reveal()).expect("a key of the ring");
    let of_this_text = |value: &RecordValue| matches!(value, RecordValue::Key(k) if k.digest == key.digest());
    match told(bed, RunId::from_uuid(key.id.uuid()), of_this_text).await {
        RecordValue::Key(record) => record,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_runs_key_is_the_same_everywhere_and_its_text_is_nowhere() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let app = replica(&bed, None);
    doors::open_run_key(&app, org_id(&org), run(1), &["poet@2", "judge"]).await.unwrap();
    let key = doors::run_key(&app, org_id(&org), run(1)).await.unwrap();
    let other_replica = replica(&bed, None);
    assert_eq!(doors::run_key(&other_replica, org_id(&org), run(1)).await.unwrap(), key);
    let record = told_of(&bed, &bed.secrets["AG_KEY_RING"], &key).await;
    assert!(record.call && record.org.to_string() == org.id && record.expires_at_ms.is_some());
    assert_eq!(record.only, Some(vec!["judge".to_owned(), "poet@2".to_owned()]));

    let secret = key.reveal().split('_').nth(5).unwrap().to_owned();
    let mut db = bed.database.superuser().await;
    for table in ["run_keys", "keys", "records", "outbox"] {
        let sql = format!("SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%' || $1 || '%'");
        let (found,): (i64,) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(&secret).fetch_one(&mut db).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_runs_key_is_no_key_of_control_and_another_orgs_run_is_not_found() {
    let bed = Bed::start().await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let app = replica(&bed, None);
    doors::open_run_key(&app, org_id(&org), run(1), &["poet"]).await.unwrap();
    let key = doors::run_key(&app, org_id(&org), run(1)).await.unwrap();
    let (status, _) = bytes(bed.request(Method::GET, "/v1/org").bearer_auth(key.reveal())).await;
    assert_eq!(status, 401);
    let foreign = doors::run_key(&app, org_id(&other), run(1)).await.unwrap_err();
    let missing = doors::run_key(&app, org_id(&org), run(2)).await.unwrap_err();
    assert_eq!(foreign.to_string(), missing.to_string());
    assert_eq!(foreign.to_string(), "not_found");
    doors::open_run_key(&app, org_id(&other), run(1), &["poet"]).await.unwrap_err();
    for only in [&[][..], &["a b"], &["poet@0"]] {
        assert!(doors::open_run_key(&app, org_id(&org), run(3), only).await.is_err(), "{only:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_closed_key_is_gone_and_one_that_is_opened_again_has_another_text() {
    let bed = Bed::start().await;
    let org = org_id(&bed.org("a").await);
    let app = replica(&bed, None);
    doors::open_run_key(&app, org, run(1), &["poet@2"]).await.unwrap();
    let first = doors::run_key(&app, org, run(1)).await.unwrap();
    doors::close_run_key(&app, org, run(1)).await.unwrap();
    told(&bed, run(1), |value| *value == RecordValue::Gone).await;
    assert!(doors::run_key(&app, org, run(1)).await.is_err());
    doors::close_run_key(&app, org, run(1)).await.unwrap();
    doors::close_run_key(&app, org, run(9)).await.unwrap();

    doors::open_run_key(&app, org, run(1), &["judge"]).await.unwrap();
    let second = doors::run_key(&app, org, run(1)).await.unwrap();
    assert_ne!(first, second);
    let record = told_of(&bed, &bed.secrets["AG_KEY_RING"], &second).await;
    assert_eq!(record.only, Some(vec!["judge".to_owned()]));
    doors::open_run_key(&app, org, run(1), &["judge"]).await.unwrap();
    assert_ne!(doors::run_key(&app, org, run(1)).await.unwrap(), second, "open or not: it begins anew");
    bed.edge.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_outlives_the_rotation_of_the_ring_and_the_end_of_its_entry() {
    let bed = Bed::start().await;
    let org = org_id(&bed.org("a").await);
    let [one, two, three] = ["11", "22", "33"].map(|byte| byte.repeat(32));
    let before = format!("a:{one}");
    let rotated = format!("b:{two},a:{one}");
    let without = format!("c:{three},b:{two}");
    let app = replica(&bed, Some(&before));
    doors::open_run_key(&app, org, run(1), &["poet@2"]).await.unwrap();
    let key = doors::run_key(&app, org, run(1)).await.unwrap();
    let app = replica(&bed, Some(&rotated));
    assert_eq!(doors::run_key(&app, org, run(1)).await.unwrap(), key, "older entries still derive");
    // The entry is gone, and at the edge, too: the same run goes on under the present one, in all replicas alike.
    let app = replica(&bed, Some(&without));
    let claims = (0..8).map(|_| doors::run_key(&app, org, run(1)));
    let keys = futures_util::future::join_all(claims).await;
    let keys: Vec<_> = keys.into_iter().map(Result::unwrap).collect();
    assert!(keys.iter().all(|other| *other == keys[0] && *other != key));
    assert!(keys[0].reveal().contains("_c_"));
    let record = told_of(&bed, &without, &keys[0]).await;
    assert_eq!(record.only, Some(vec!["poet@2".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_in_use_lives_on_and_a_forgotten_one_is_taken_from_the_edge() {
    let bed = Bed::with(&[("AG_HOUSEKEEPING_MS", "100")]).await;
    let org = org_id(&bed.org("a").await);
    let app = replica(&bed, None);
    doors::open_run_key(&app, org, run(1), &["poet"]).await.unwrap();
    doors::open_run_key(&app, org, run(2), &["poet"]).await.unwrap();
    let key = doors::run_key(&app, org, run(1)).await.unwrap();
    let first = told_of(&bed, &bed.secrets["AG_KEY_RING"], &key).await.expires_at_ms;
    let mut db = bed.database.superuser().await;
    let age = "UPDATE run_keys SET expires_at = expires_at - interval '13 h' WHERE run_id = $1";
    sqlx::query(age).bind(run(1).uuid()).execute(&mut db).await.unwrap();
    assert_eq!(doors::run_key(&app, org, run(1)).await.unwrap(), key);
    told(&bed, run(1), |value| matches!(value, RecordValue::Key(key) if key.expires_at_ms > first)).await;
    let end = "UPDATE run_keys SET expires_at = now() - interval '1 ms' WHERE run_id = $1";
    sqlx::query(end).bind(run(2).uuid()).execute(&mut db).await.unwrap();
    told(&bed, run(2), |value| *value == RecordValue::Gone).await;
    assert!(doors::run_key(&app, org, run(2)).await.is_err());
    assert!(doors::run_key(&app, org, run(1)).await.is_ok());
}
