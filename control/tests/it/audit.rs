//! The audit trail: one entry for each change, in the change's own transaction, without secrets, and nobody's to alter.

use crate::{
    bed::{Bed, Org, code, read, text},
    jobs_hosts::job,
    pg::{SYSTEM, TENANT, connect},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use std::time::{Duration, Instant};

/// How long a test waits for the sequencer: the machine may be busy.
const SOON: Duration = Duration::from_secs(60);

pub async fn page(bed: &Bed, org: &Org, query: &str) -> Value {
    let (status, page) = bed.get(org, &format!("/v1/audit?{query}")).await;
    assert_eq!(status, 200, "{page}");
    page
}

pub async fn entries(bed: &Bed, org: &Org, query: &str) -> Vec<Value> {
    page(bed, org, &format!("limit=100&{query}")).await["data"].as_array().unwrap().clone()
}

/// Waits until every entry has its link.
pub async fn linked(bed: &Bed) {
    let mut db = bed.database.superuser().await;
    let begun = Instant::now();
    loop {
        let (pending,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM audit_pending").fetch_one(&mut db).await.unwrap();
        if pending == 0 {
            return;
        }
        assert!(begun.elapsed() < SOON, "{pending} entries are not linked");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_entry_says_who_did_what_from_where_with_both_sides() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "haiku"})).await["id"]);
    let request = bed
        .request(Method::PATCH, &format!("/v1/endpoints/{endpoint}"))
        .bearer_auth(&org.admin)
        .header("user-agent", "tests/1")
        .header("x-request-id", "req-of-the-test")
        .json(&json!({"description": "Five, seven, five."}));
    assert_eq!(read(request).await.0, 200);
    let found = entries(&bed, &org, "").await;
    let first: Vec<String> = found.iter().map(|entry| text(&entry["verb"])).collect();
    assert_eq!(first, ["change", "create", "create", "create"], "newest first");
    let entry = &found[0];
    assert_eq!(
        (&entry["action"], &entry["subject"]),
        (&json!("endpoints.write"), &json!({"kind": "endpoint", "id": endpoint}))
    );
    assert_eq!(
        entry["origin"],
        json!({"address": "127.0.0.1", "user_agent": "tests/1", "request": "req-of-the-test"})
    );
    let key = text(&bed.get(&org, "/v1/keys").await.1["data"][0]["id"]);
    assert_eq!(entry["actor"], json!({"kind": "key", "id": key, "session": null, "role": null}));
    assert_eq!(entry["before"]["description"], "");
    assert_eq!(entry["after"]["description"], "Five, seven, five.");
    assert_eq!((&found[1]["before"], &found[1]["after"]["name"]), (&Value::Null, &json!("haiku")));
    assert_eq!(found[3]["actor"]["kind"], "operator");
    // The same once more changes nothing, and so leaves nothing.
    let same = json!({"description": "Five, seven, five."});
    let path = format!("/v1/endpoints/{endpoint}");
    assert_eq!(bed.call("PATCH", &org.admin, &path, Some(&same)).await.0, 200);
    assert_eq!(entries(&bed, &org, "").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn there_is_neither_a_change_without_its_entry_nor_an_entry_without_its_change() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    bed.make(&org, "/v1/endpoints", json!({"name": "haiku"})).await;
    let before = entries(&bed, &org, "").await.len();
    let taken = bed.post(&org, "/v1/endpoints", json!({"name": "haiku"})).await;
    assert_eq!(code(&taken), (409, "conflict"));
    assert_eq!(entries(&bed, &org, "").await.len(), before, "what failed left an entry");
    // Done once, recorded once.
    for _ in 0..2 {
        let again = bed.request(Method::POST, "/v1/jobs").bearer_auth(&org.admin).json(&job());
        assert_eq!(read(again.header("idempotency-key", "k")).await.0, 201);
    }
    assert_eq!(entries(&bed, &org, "action=jobs.run").await.len(), 1);
    let mut db = bed.database.superuser().await;
    db.execute("REVOKE INSERT ON audit FROM alphagate_tenant, alphagate_system").await.unwrap();
    let counts = async |db: &mut sqlx::PgConnection| {
        let sql =
            "SELECT (SELECT count(*) FROM keys), (SELECT count(*) FROM jobs), (SELECT count(*) FROM orgs)";
        sqlx::query_as::<_, (i64, i64, i64)>(sql).fetch_one(db).await.unwrap()
    };
    let there = counts(&mut db).await;
    let key = json!({"name": "k", "scopes": ["call"]});
    assert_eq!(bed.post(&org, "/v1/keys", key).await.0, 500);
    assert_eq!(bed.post(&org, "/v1/jobs", job()).await.0, 500);
    assert_eq!(bed.operator("POST", "/operator/v1/orgs", Some(&json!({"name": "b"}))).await.0, 500);
    assert_eq!(counts(&mut db).await, there, "something was changed that is in nobody's trail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_secret_is_in_the_trail() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let key = bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    let rotated =
        bed.make(&org, &format!("/v1/keys/{}/rotate", text(&key["id"])), json!({"overlap_s": 0})).await;
    let credential = json!({"name": "c", "origin": "http://127.0.0.1:9", "secret": "hush-hush-1"});
    let credential = text(&bed.make(&org, "/v1/credentials", credential).await["id"]);
    let path = format!("/v1/credentials/{credential}/secret");
    let put = bed.call("PUT", &org.admin, &path, Some(&json!({"secret": "hush-hush-2"}))).await;
    assert_eq!(put.0, 200, "{}", put.1);
    let token = bed.runner_token().await;
    let secrets: [&str; 5] =
        [&org.admin, &text(&key["secret"]), &text(&rotated["secret"]), &token, "hush-hush"];
    let mut db = bed.database.superuser().await;
    let (all,): (i64,) = sqlx::query_as("SELECT count(*) FROM audit").fetch_one(&mut db).await.unwrap();
    assert_eq!(all, 7, "two of the org, two of keys, two of credentials, one of the token");
    for secret in secrets {
        let (found,): (i64,) = sqlx::query_as("SELECT count(*) FROM audit a WHERE strpos(a::text, $1) > 0")
            .bind(secret)
            .fetch_one(&mut db)
            .await
            .unwrap();
        assert_eq!(found, 0, "a secret is in the trail");
    }
    let entry = &entries(&bed, &org, &format!("subject={}", text(&key["id"]))).await[1];
    assert_eq!(entry["after"]["secret"], "[masked]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c14_the_trail_is_append_only_for_both_logins() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    linked(&bed).await;
    for login in [TENANT, SYSTEM] {
        let mut db = connect(&bed.database.name, Some(login)).await;
        for sql in [
            "UPDATE audit SET verb = 'x'",
            "DELETE FROM audit",
            "TRUNCATE audit",
            "UPDATE audit_links SET head = digest",
            "DELETE FROM audit_links",
            "TRUNCATE audit_links",
            "UPDATE audit_pending SET entry_id = entry_id",
            "TRUNCATE audit_pending",
            "ALTER TABLE audit DISABLE ROW LEVEL SECURITY",
            "DROP TABLE audit",
        ] {
            let error = sqlx::query(sql).execute(&mut db).await.expect_err(sql);
            let code = error.as_database_error().unwrap().code();
            assert_eq!(code.as_deref(), Some("42501"), "{login}: {sql}: {error}");
        }
    }
    // A tenant writes no links, takes nothing from the queue, and writes into nobody else's trail.
    let mut db = connect(&bed.database.name, Some(TENANT)).await;
    let other = bed.org("b").await;
    for sql in [
        "INSERT INTO audit_links SELECT * FROM audit_links",
        "DELETE FROM audit_pending",
        "INSERT INTO audit (org_id, id, at, actor_kind, action, verb, subject_kind, subject_id)
            SELECT $1::uuid, gen_random_uuid(), now(), 'system', 'x', 'x', 'x', 'x'",
        "INSERT INTO audit_pending (org_id, entry_id) VALUES ($1::uuid, gen_random_uuid())",
    ] {
        let mut tx = db.begin().await.unwrap();
        let own = "SELECT set_config('app.org_id', $1, true)";
        sqlx::query(own).bind(crate::play::uuid(&org.id).to_string()).execute(&mut *tx).await.unwrap();
        let query = sqlx::query(sql);
        let query = if sql.contains("$1") { query.bind(crate::play::uuid(&other.id)) } else { query };
        let error = query.execute(&mut *tx).await.expect_err(sql);
        let code = error.as_database_error().unwrap().code();
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_list_is_paged_and_filtered_and_ones_own() {
    let bed = Bed::start().await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let key = bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["admin"]})).await;
    let (id, secret) = (text(&key["id"]), text(&key["secret"]));
    for _ in 0..5 {
        assert_eq!(bed.call("POST", &secret, "/v1/jobs", Some(&job())).await.0, 201);
    }
    linked(&bed).await;
    assert_eq!(entries(&bed, &org, "").await.len(), 8);
    assert_eq!(entries(&bed, &org, &format!("actor={id}")).await.len(), 5);
    assert_eq!(entries(&bed, &org, &format!("subject={id}")).await.len(), 1);
    assert_eq!(entries(&bed, &org, "action=jobs.run").await.len(), 5);
    assert_eq!(entries(&bed, &org, &format!("actor={id}&action=keys.write")).await.len(), 0);
    let all = entries(&bed, &org, "").await;
    let at = |number: usize| text(&all[number]["at"]);
    assert_eq!(entries(&bed, &org, "since=2100-01-01T00:00:00Z").await.len(), 0);
    let since = entries(&bed, &org, &format!("since={}", at(3))).await;
    assert!(since.len() >= 4, "{since:#?}");
    let until = entries(&bed, &org, &format!("until={}", at(3))).await;
    assert_eq!(since.len() + until.len(), 8, "a time divides the trail in two");
    let mut numbers: Vec<i64> = all.iter().map(|entry| entry["number"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(&bed, &org, &format!("limit=3&action=jobs.run{cursor}")).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|entry| text(&entry["id"])));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all[..5].iter().map(|entry| text(&entry["id"])).collect::<Vec<_>>());
    let stolen = bed.get(&other, &format!("/v1/audit?limit=3&action=jobs.run{cursor}")).await;
    assert_eq!(code(&stolen), (400, "invalid_parameter"), "a cursor is of one org and one filter");
    assert_eq!(code(&bed.get(&org, "/v1/audit?who=me").await), (400, "invalid_parameter"));

    let theirs = entries(&bed, &other, "").await;
    assert!(theirs.len() == 2 && theirs.iter().all(|entry| entry["org"] == other.id.as_str()));
    assert_eq!(entries(&bed, &other, &format!("subject={id}")).await.len(), 0);
}
