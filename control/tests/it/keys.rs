//! API keys: recognised, rotated, revoked, expired.

use crate::bed::{Bed, bytes, code, text};
use alphagate_contract::{
    key::{ApiKey, Mode},
    record::RecordValue,
    ring::Ring,
};
use reqwest::Method;
use serde_json::{Value, json};

fn key_record(bed: &Bed, id: &Value) -> RecordValue {
    bed.edge.value(&format!("v1/key/{}", id.as_str().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_key_shows_its_text_once_and_the_edge_has_its_digest() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let body =
        json!({"name": "app", "scopes": ["call"], "mode": "test", "expires_at": "2099-01-01T00:00:00Z"});
    let made = bed.make(&org, "/v1/keys", body).await;
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("ag_test_"));
    assert_eq!(made["edge"], "accepted");
    let RecordValue::Key(record) = key_record(&bed, &made["id"]) else { panic!() };
    assert!(record.call && record.org.to_string() == org.id);
    assert_eq!(record.expires_at_ms, Some(4_070_908_800_000));
    let read = bed.get(&org, &format!("/v1/keys/{}", text(&made["id"]))).await.1;
    assert!(!read.to_string().contains(&secret) && read.get("secret").is_none());
    assert_eq!(read["scopes"], json!(["call"]));
    let mut db = bed.database.superuser().await;
    let tail = secret.rsplit('_').nth(1).unwrap();
    for table in ["keys", "records", "outbox"] {
        let sql = sqlx::AssertSqlSafe(format!(
            "SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%' || $1 || '%'"
        ));
        let (found,): (i64,) = sqlx::query_as(sql).bind(tail).fetch_one(&mut db).await.unwrap();
        assert_eq!(found, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn unknown_forged_revoked_and_expired_keys_are_answered_alike() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let admin = json!({"name": "second", "scopes": ["admin"]});
    let revoked = bed.make(&org, "/v1/keys", admin.clone()).await;
    let path = format!("/v1/keys/{}", text(&revoked["id"]));
    assert_eq!(
        bed.call("DELETE", &text(&revoked["secret"]), &path, None).await.0,
        200,
        "a key may revoke itself"
    );
    let expired = bed.make(&org, "/v1/keys", admin).await;
    let mut db = bed.database.superuser().await;
    sqlx::query("UPDATE keys SET created_at = now() - interval '2 d', expires_at = now() - interval '1 ms' WHERE id = $1::text::uuid")
        .bind(text(&expired["id"]).replace("key_", ""))
        .execute(&mut db)
        .await
        .unwrap();
    let mut forged = org.admin.clone();
    forged.pop();
    forged.push(if org.admin.ends_with('0') { '1' } else { '0' });
    let other = Bed::start().await;
    let unknown = other.org("x").await.admin;
    // The tag is good and the id is known, but the secret is another one.
    let ring = Ring::parse(&bed.secrets["AG_KEY_RING"]).unwrap();
    let real = ApiKey::verify(&ring, &org.admin).unwrap();
    let wrong = ApiKey::mint(&ring, Mode::Live, real.org, real.id, [7; 24]).text().reveal().clone();
    let mut answers = Vec::new();
    for token in
        [text(&revoked["secret"]), text(&expired["secret"]), forged, unknown, wrong, "ag_live_x".into()]
    {
        answers.push(bytes(bed.request(Method::GET, "/v1/org").bearer_auth(token)).await);
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_revocation_is_enforced_with_its_answer_or_says_that_it_is_not_yet() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let make = async || bed.make(&org, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await;
    let (one, two) = (make().await, make().await);
    let revoke = async |key: &Value| {
        bed.call("DELETE", &org.admin, &format!("/v1/keys/{}", text(&key["id"])), None).await
    };
    let (status, answer) = revoke(&one).await;
    assert_eq!((status, &answer["enforced"], &answer["edge"]), (200, &json!(true), &json!("accepted")));
    assert!(answer["revoked_at"].is_string());
    assert_eq!(key_record(&bed, &one["id"]), RecordValue::Gone);
    assert_eq!(revoke(&one).await.1, answer, "as often as one likes");
    bed.edge.refuse(Some(503));
    let (status, answer) = revoke(&two).await;
    assert_eq!((status, &answer["enforced"], &answer["edge"]), (200, &json!(false), &json!("pending")));
    assert!(matches!(key_record(&bed, &two["id"]), RecordValue::Key(_)));
    bed.edge.refuse(None);
    let again = revoke(&two).await.1;
    assert_eq!((&again["enforced"], &again["revoked_at"]), (&json!(true), &answer["revoked_at"]));
    assert_eq!(key_record(&bed, &two["id"]), RecordValue::Gone);
    bed.edge.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_rotation_overlaps_and_happens_once() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let old = bed.make(&org, "/v1/keys", json!({"name": "ci", "scopes": ["call", "admin"]})).await;
    let path = format!("/v1/keys/{}/rotate", text(&old["id"]));
    let new = bed.make(&org, &path, json!({"overlap_s": 3600})).await;
    assert_eq!((&new["name"], &new["scopes"], &new["replaces"]), (&old["name"], &old["scopes"], &old["id"]));
    let read = bed.get(&org, &format!("/v1/keys/{}", text(&old["id"]))).await.1;
    assert_eq!(read["replaced_by"], new["id"]);
    let RecordValue::Key(record) = key_record(&bed, &old["id"]) else { panic!() };
    let left_ms = record.expires_at_ms.unwrap() - crate::edge::now_ms();
    assert!((3_500_000..=3_600_000).contains(&left_ms), "{left_ms}");
    for secret in [&old["secret"], &new["secret"]] {
        assert_eq!(bed.call("GET", &text(secret), "/v1/org", None).await.0, 200);
    }
    assert_eq!(code(&bed.post(&org, &path, json!({"overlap_s": 0})).await), (409, "conflict"));
    let path = format!("/v1/keys/{}/rotate", text(&new["id"]));
    bed.make(&org, &path, json!({"overlap_s": 0})).await;
    assert_eq!(key_record(&bed, &new["id"]), RecordValue::Gone);
    assert_eq!(bed.call("GET", &text(&new["secret"]), "/v1/org", None).await.0, 401);
    let too_long = json!({"overlap_s": 31 * 24 * 3600});
    let first = bed.get(&org, "/v1/keys").await.1["data"][0].clone();
    let reply = bed.post(&org, &format!("/v1/keys/{}/rotate", text(&first["id"])), too_long).await;
    assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("overlap_s")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn expired_keys_leave_the_edge_a_day_later() {
    let bed = Bed::with(&[("AG_HOUSEKEEPING_MS", "100")]).await;
    let org = bed.org("a").await;
    let key = bed
        .make(
            &org,
            "/v1/keys",
            json!({"name": "k", "scopes": ["call"], "expires_at": "2099-01-01T00:00:00Z"}),
        )
        .await;
    let mut db = bed.database.superuser().await;
    sqlx::query("UPDATE keys SET created_at = now() - interval '3 d', expires_at = now() - interval '25 h' WHERE expires_at IS NOT NULL")
        .execute(&mut db)
        .await
        .unwrap();
    for _ in 0..100 {
        if key_record(&bed, &key["id"]) == RecordValue::Gone {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the key is still at the edge");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_is_bound_to_endpoints_by_name_and_so_is_its_successor() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let bound = json!({"name": "app", "scopes": ["call"], "endpoints": ["poet", "haiku"]});
    let key = bed.make(&org, "/v1/keys", bound).await;
    assert_eq!(key["endpoints"], json!(["haiku", "poet"]));
    let only = |id: &Value| {
        let RecordValue::Key(record) = key_record(&bed, id) else { panic!() };
        record.only
    };
    assert_eq!(only(&key["id"]), Some(vec!["haiku".to_owned(), "poet".to_owned()]));
    let path = format!("/v1/keys/{}", text(&key["id"]));
    let next = bed.make(&org, &format!("{path}/rotate"), json!({"overlap_s": 60})).await;
    assert_eq!((&next["endpoints"], only(&next["id"])), (&key["endpoints"], only(&key["id"])));
    assert_eq!(bed.get(&org, &path).await.1["endpoints"], key["endpoints"]);
    let free = bed.make(&org, "/v1/keys", json!({"name": "app", "scopes": ["call"]})).await;
    assert_eq!((&free["endpoints"], only(&free["id"])), (&Value::Null, None));
    for (endpoints, scopes) in [
        (json!([]), json!(["call"])),
        (json!(["a", "a"]), json!(["call"])),
        (json!(["a"]), json!(["call", "admin"])),
        (json!(["a"]), json!(["evals"])),
        (json!(["poet@2"]), json!(["call"])),
        (json!((0..101).map(|n| format!("e{n}")).collect::<Vec<_>>()), json!(["call"])),
    ] {
        let reply =
            bed.post(&org, "/v1/keys", json!({"name": "x", "scopes": scopes, "endpoints": endpoints})).await;
        assert_eq!(code(&reply), (422, "unprocessable"), "{endpoints}");
        assert!(text(&reply.1["error"]["param"]).starts_with("endpoints"), "{}", reply.1);
    }
}
