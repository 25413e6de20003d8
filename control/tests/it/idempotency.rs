//! C09: `Idempotency-Key`.

use crate::{
    bed::{Bed, Org, Reply, code, read},
    bodies::all_at_once,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

fn once(bed: &Bed, org: &Org, path: &str, key: &str, body: &Value) -> RequestBuilder {
    bed.request(Method::POST, path).bearer_auth(&org.admin).header("idempotency-key", key).json(body)
}

fn new_key(name: &str) -> Value {
    json!({"name": name, "scopes": ["call"]})
}

async fn keys(bed: &Bed, org: &Org) -> usize {
    bed.get(org, "/v1/keys").await.1["data"].as_array().unwrap().len() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c09_a_repetition_gets_the_first_answer_and_another_body_409() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let first = read(once(&bed, &a, "/v1/keys", "k 1", &new_key("x"))).await;
    assert_eq!(first.0, 201);
    assert_eq!(read(once(&bed, &a, "/v1/keys", "k 1", &new_key("x"))).await, first);
    assert_eq!(keys(&bed, &a).await, 1);
    let other = read(once(&bed, &a, "/v1/keys", "k 1", &new_key("y"))).await;
    assert_eq!(code(&other), (409, "idempotency_mismatch"));
    let elsewhere = read(once(&bed, &a, "/v1/endpoints", "k 1", &new_key("x"))).await;
    assert!([409, 422].contains(&elsewhere.0));
    // The key is the org's own: another org's is another key.
    let foreign = read(once(&bed, &b, "/v1/keys", "k 1", &new_key("x"))).await;
    assert!(foreign.0 == 201 && foreign.1["id"] != first.1["id"]);
    // Without a key, each call counts.
    bed.make(&a, "/v1/keys", new_key("x")).await;
    assert_eq!(keys(&bed, &a).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_the_same_key_at_once_one_is_executed_and_all_get_its_answer() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let replies: Vec<Reply> =
        all_at_once((0..20).map(|_| read(once(&bed, &org, "/v1/keys", "k", &new_key("x"))))).await;
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
    assert_eq!((replies[0].0, keys(&bed, &org).await), (201, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_refused_may_be_repeated_with_the_same_key() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let body = json!({"name": "e"});
    bed.make(&org, "/v1/endpoints", body.clone()).await;
    assert_eq!(read(once(&bed, &org, "/v1/endpoints", "k", &body)).await.0, 409);
    let other = json!({"name": "f"});
    assert_eq!(read(once(&bed, &org, "/v1/endpoints", "k", &other)).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_creation_takes_a_key() {
    let bed = Bed::start().await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let poem = bed.published(&other, "poem").await;
    let endpoint = read(once(&bed, &org, "/v1/endpoints", "1", &json!({"name": "e"}))).await.1;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    let key = bed.make(&org, "/v1/keys", new_key("x")).await;
    let policy = bed.make(&org, "/v1/policies", json!({"name": "p", "preset": "pii"})).await;
    let calls = [
        ("/v1/endpoints".to_owned(), json!({"name": "e"})),
        ("/v1/credentials".into(), json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "sk"})),
        (format!("{path}/versions"), crate::bed::version(None)),
        (format!("{path}/publications"), json!({"version": 1, "expected_live": null})),
        ("/v1/policies".into(), json!({"name": "school", "preset": "6-8"})),
        (format!("/v1/policies/{}/revisions", policy["id"].as_str().unwrap()), json!({"policy": {}})),
        ("/v1/installs".into(), json!({"name": "poem", "endpoint": poem, "payer": "publisher"})),
        (format!("/v1/keys/{}/rotate", key["id"].as_str().unwrap()), json!({"overlap_s": 60})),
    ];
    for (number, (path, body)) in calls.iter().enumerate() {
        let key = (number + 1).to_string();
        let first = read(once(&bed, &org, path, &key, body)).await;
        assert_eq!(first.0, 201, "{path}: {}", first.1);
        assert_eq!(read(once(&bed, &org, path, &key, body)).await, first, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_kept_answer_is_not_in_clear_and_is_forgotten_after_a_day() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let first = read(once(&bed, &org, "/v1/keys", "k", &new_key("x"))).await.1;
    let mut db = bed.database.superuser().await;
    let (kept,): (Vec<u8>,) =
        sqlx::query_as("SELECT answer FROM idempotency").fetch_one(&mut db).await.unwrap();
    let secret = first["secret"].as_str().unwrap().as_bytes();
    assert!(!kept.windows(16).any(|part| secret.windows(16).any(|other| part == other)));
    assert!(!kept.windows(6).any(|part| part == b"secret"));
    sqlx::query("UPDATE idempotency SET expires_at = now() - interval '1 s'").execute(&mut db).await.unwrap();
    let second = read(once(&bed, &org, "/v1/keys", "k", &new_key("x"))).await.1;
    assert_ne!(first["id"], second["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_that_cannot_be_is_400() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let long = "x".repeat(256);
    for key in ["", long.as_str()] {
        assert_eq!(
            code(&read(once(&bed, &org, "/v1/keys", key, &new_key("x"))).await),
            (400, "request_malformed")
        );
    }
    let two = once(&bed, &org, "/v1/keys", "a", &new_key("x")).header("idempotency-key", "b");
    assert_eq!(code(&read(two).await), (400, "request_malformed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn users_and_the_operator_make_things_once_too() {
    let bed = Bed::start().await;
    let (ada, bob) = (bed.person("ada").await, bed.person("bob").await);
    let operator = bed.secrets["AG_OPERATOR_TOKEN"].clone();
    let calls = [
        ("/v1/orgs", ada.token.as_str()),
        ("/operator/v1/orgs", operator.as_str()),
        ("/operator/v1/runner-tokens", operator.as_str()),
    ];
    for (number, (path, token)) in calls.into_iter().enumerate() {
        let send = |token: &str, name: &str| {
            let key = format!("k {number}");
            let request = bed.request(Method::POST, path).bearer_auth(token).header("idempotency-key", key);
            read(request.json(&json!({"name": name})))
        };
        let first = send(token, "n").await;
        assert_eq!(first.0, 201, "{path}: {}", first.1);
        let at_once = all_at_once((0..5).map(|_| send(token, "n"))).await;
        assert!(at_once.iter().all(|reply| *reply == first), "{path}: {at_once:?}");
        assert_eq!(code(&send(token, "m").await), (409, "idempotency_mismatch"), "{path}");
    }
    // The key is the user's own: another's is another one, and so is the operator's.
    let request =
        bed.request(Method::POST, "/v1/orgs").bearer_auth(&bob.token).header("idempotency-key", "k 0");
    let other = read(request.json(&json!({"name": "m"}))).await;
    assert_eq!(other.0, 201, "{}", other.1);
    let orgs = bed.call("GET", &ada.token, "/v1/orgs", None).await.1;
    assert_eq!(orgs["data"].as_array().unwrap().len(), 2);
}
