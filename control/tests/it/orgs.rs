//! Orgs: made and suspended by the operator; request ids and health along the way.

use crate::bed::{Bed, code, read};
use alphagate_contract::record::RecordValue;
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_suspended_org_is_refused_here_and_at_the_edge_until_it_is_resumed() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let path = format!("/operator/v1/orgs/{}", org.id);
    let suspended = || {
        let RecordValue::Org(record) = bed.edge.value(&format!("v1/org/{}", org.id)) else { panic!() };
        record.suspended
    };
    assert!(!suspended());
    let (status, answer) = bed.operator("PATCH", &path, Some(&json!({"suspended": true}))).await;
    assert_eq!((status, &answer["suspended"], &answer["edge"]), (200, &json!(true), &json!("accepted")));
    assert!(suspended());
    assert_eq!(code(&bed.get(&org, "/v1/org").await), (403, "org_suspended"));
    assert_eq!(code(&bed.post(&org, "/v1/keys", json!({})).await), (403, "org_suspended"));
    let resume = json!({"suspended": false, "name": "b"});
    assert_eq!(bed.operator("PATCH", &path, Some(&resume)).await.0, 200);
    assert!(!suspended());
    let (status, own) = bed.get(&org, "/v1/org").await;
    assert_eq!((status, &own["name"], &own["suspended"]), (200, &json!("b"), &json!(false)));
    let missing = format!("/operator/v1/orgs/org_{:032x}", 5);
    assert_eq!(code(&bed.operator("PATCH", &missing, Some(&json!({}))).await), (404, "not_found"));
    assert_eq!(code(&bed.operator("GET", &missing, None).await), (404, "not_found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_id_is_taken_over_or_made() {
    let bed = Bed::start().await;
    let sent = |id: &'static str| bed.request(Method::GET, "/healthz").header("x-request-id", id).send();
    let given = sent("req_0198c0de00007000800000000000000a").await.unwrap();
    assert_eq!(given.headers()["x-request-id"], "req_0198c0de00007000800000000000000a");
    for bad in ["a b", "{\"x\":1}", ""] {
        let made = sent(bad).await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned();
        assert!(made.starts_with("req_") && made.len() == 36, "{made}");
    }
    assert_eq!(read(bed.request(Method::GET, "/readyz")).await, (200, json!({"status": "ready"})));
}
