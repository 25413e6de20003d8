//! Usage: handed over as often as the edge likes, counted once, read by both sides.

use crate::{
    bed::{Bed, Org, code, read, text},
    edge::now_ms,
};
use alphagate_contract::id::RequestId;
use serde_json::{Value, json};

fn event(
    id: &RequestId,
    org: &Org,
    key: &str,
    endpoint: &str,
    publisher: &Org,
    install: Option<&str>,
) -> Value {
    let mut event = json!({
        "id": id, "at_ms": now_ms(), "org": org.id, "key": key, "endpoint": endpoint, "publisher": publisher.id,
        "payer": "publisher", "version": 1, "stream": true, "outcome": "completed",
        "amounts": {"requests": 1, "input_tokens": 10, "output_tokens": 20, "cost_micros": u64::MAX},
        "estimated": false, "cached_input_tokens": 1, "reasoning_tokens": 2, "first_byte_ms": 3, "total_ms": 4,
        "flagged": ["org requests/hour"],
        "flags": ["pii:email"],
    });
    if let Some(install) = install {
        event["install"] = json!(install);
    }
    event
}

async fn hand_over(bed: &Bed, org: &Org, events: &[Value]) -> (u16, Value) {
    let body = json!({"org": org.id, "events": events}).to_string();
    read(bed.signed("POST", "/internal/v1/usage", body.as_bytes())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_counts_once_however_often_it_comes() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let haiku = bed.published(&a, "haiku").await;
    let made = bed.make(&b, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    let key = text(&made["id"]);
    let install = json!({"endpoint": haiku, "name": "h", "payer": "publisher"});
    let install = text(&bed.make(&b, "/v1/installs", install).await["id"]);
    let id = |n: u8| RequestId::new(now_ms() - 5_000 + u64::from(n), [n; 10]);
    let events: Vec<Value> = (0..30).map(|n| event(&id(n), &b, &key, &haiku, &a, Some(&install))).collect();
    assert_eq!(hand_over(&bed, &b, &events[..20]).await, (200, json!({"accepted": 20, "new": 20})));
    assert_eq!(hand_over(&bed, &b, &events[10..]).await, (200, json!({"accepted": 20, "new": 10})));
    assert_eq!(hand_over(&bed, &b, &events[..20]).await, (200, json!({"accepted": 20, "new": 0})));
    assert_eq!(hand_over(&bed, &b, &[]).await, (200, json!({"accepted": 0, "new": 0})));
    // An event with the same id and another time is the same event.
    let mut moved = events[0].clone();
    moved["at_ms"] = json!(now_ms() + 1_000_000);
    assert_eq!(hand_over(&bed, &b, &[moved]).await.1["new"], 0);
    let own = bed.get(&b, "/v1/usage?limit=100").await.1;
    assert_eq!(own["data"].as_array().unwrap().len(), 30);
    let newest = &own["data"][0];
    assert_eq!((&newest["key"], &newest["install"]), (&json!(key), &json!(install)));
    assert_eq!(
        (&newest["cost_micros"], &newest["flagged"]),
        (&json!(i64::MAX), &json!(["org requests/hour"]))
    );
    assert_eq!(newest["flags"], json!(["pii:email"]));
    let served =
        |event: &Value| (event["target"].clone(), event["attempt"].clone(), event["passed_over"].clone());
    assert_eq!(
        served(newest),
        (json!(0), json!(1), json!([])),
        "edges of the last release say nothing of targets"
    );
    let mut second = event(&id(77), &b, &key, &haiku, &a, Some(&install));
    for (name, value) in [
        ("target", json!(1)),
        ("attempt", json!(3)),
        ("passed_over", json!([{"target": 0, "why": "status_500"}, {"target": 0, "why": "timeout"}])),
    ] {
        second[name] = value;
    }
    assert_eq!(hand_over(&bed, &b, &[second]).await.1["new"], 1);
    let newest = bed.get(&b, "/v1/usage?limit=1").await.1["data"][0].clone();
    assert_eq!(served(&newest), (json!(1), json!(3), json!(["0=status_500", "0=timeout"])));
    let theirs = bed.get(&a, "/v1/usage?as=publisher&limit=100").await.1;
    assert_eq!(theirs["data"].as_array().unwrap().len(), 31);
    assert!(theirs["data"][0].get("key").is_none(), "a publisher sees no foreign keys");
    assert_eq!(bed.get(&a, "/v1/usage").await.1["data"], json!([]));
    assert_eq!(bed.get(&b, "/v1/usage?as=publisher").await.1["data"], json!([]));
    assert!(bed.get(&b, &format!("/v1/keys/{key}")).await.1["last_used_at"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn usage_is_filtered_and_paged() {
    let bed = Bed::start().await;
    let a = bed.org("a").await;
    let (one, two) = (bed.published(&a, "one").await, bed.published(&a, "two").await);
    let key = text(&bed.make(&a, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await["id"]);
    let other = format!("key_{:032x}", 3);
    let start = now_ms() - 60_000;
    let ids: Vec<RequestId> =
        (0..10_u8).map(|n| RequestId::new(start + 1_000 * u64::from(n), [n; 10])).collect();
    let events: Vec<Value> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            event(id, &a, if n < 5 { &key } else { &other }, if n % 2 == 0 { &one } else { &two }, &a, None)
        })
        .collect();
    assert_eq!(hand_over(&bed, &a, &events).await.0, 200);
    let at = |ms: u64| {
        chrono::DateTime::from_timestamp_millis(ms as i64)
            .unwrap()
            .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    };
    for (filter, count) in [
        (format!("key={key}"), 5),
        (format!("endpoint={one}"), 5),
        (format!("endpoint={one}&key={key}"), 3),
        (format!("from={}", at(start + 3_000)), 7),
        (format!("to={}", at(start + 3_000)), 3),
        (format!("from={}&to={}", at(start + 2_000), at(start + 4_000)), 2),
        ("as=consumer".into(), 10),
        (format!("install=ins_{:032x}", 1), 0),
    ] {
        let page = bed.get(&a, &format!("/v1/usage?{filter}")).await.1;
        assert_eq!(page["data"].as_array().unwrap_or_else(|| panic!("{page}")).len(), count, "{filter}");
    }
    let first = bed.get(&a, "/v1/usage?limit=4").await.1;
    let cursor = text(&first["next_cursor"]);
    let second = bed.get(&a, &format!("/v1/usage?limit=6&cursor={cursor}")).await.1;
    assert_eq!((second["data"].as_array().unwrap().len(), &second["next_cursor"]), (6, &Value::Null));
    assert_eq!(bed.get(&a, &format!("/v1/usage?key={key}&cursor={cursor}")).await.0, 400);
    for bad in ["as=operator", "from=yesterday", "key=k", "x=1"] {
        assert_eq!(
            code(&bed.get(&a, &format!("/v1/usage?{bad}")).await),
            (400, "invalid_parameter"),
            "{bad}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_a_batch_of_one_org_is_refused() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let haiku = bed.published(&a, "haiku").await;
    let key = format!("key_{:032x}", 3);
    let id = RequestId::new(now_ms(), [1; 10]);
    let of_a = event(&id, &a, &key, &haiku, &a, None);
    let reply = hand_over(&bed, &b, std::slice::from_ref(&of_a)).await;
    assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("events[0].org")));
    assert_eq!(code(&hand_over(&bed, &a, &vec![of_a; 1_001]).await), (422, "unprocessable"));
    let unsigned = bed.request(reqwest::Method::POST, "/internal/v1/usage").body("{}");
    assert_eq!(code(&read(unsigned).await), (401, "signature_invalid"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_event_of_any_time_finds_a_partition() {
    let bed = Bed::start().await;
    let a = bed.org("a").await;
    let haiku = bed.published(&a, "haiku").await;
    let key = format!("key_{:032x}", 3);
    let year_ms = 366 * 24 * 3600 * 1000;
    let times = [1_000, now_ms() - year_ms, now_ms(), now_ms() + 40 * 24 * 3600 * 1000, now_ms() + year_ms];
    let events: Vec<Value> =
        times.iter().map(|at| event(&RequestId::new(*at, [1; 10]), &a, &key, &haiku, &a, None)).collect();
    assert_eq!(hand_over(&bed, &a, &events).await.1["new"], 5);
    let mut db = bed.database.superuser().await;
    let count = async |db: &mut sqlx::PgConnection| {
        let (count,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM usage_events_default").fetch_one(db).await.unwrap();
        count
    };
    assert_eq!(count(&mut db).await, 3);
    // A partition that is made later takes what lay in the default, as the system role, that owns nothing.
    let mut system = crate::pg::connect(&bed.database.name, Some(crate::pg::SYSTEM)).await;
    sqlx::query("SELECT usage_events_partitions(14)").execute(&mut system).await.unwrap();
    assert_eq!(count(&mut db).await, 2);
    assert_eq!(bed.get(&a, "/v1/usage").await.1["data"].as_array().unwrap().len(), 5);
    assert_eq!(hand_over(&bed, &a, &events).await.1["new"], 0);
}
