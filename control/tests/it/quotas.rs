//! Quotas: written as one list, and the edge has it with the answer.

use crate::{
    bed::{Bed, read, text},
    bodies::all_at_once,
};
use alphagate_contract::{
    quota::{Concurrency, Limit, QUOTAS_MAX},
    record::RecordValue,
};
use serde_json::{Value, json};

fn quota(subject: Value) -> Value {
    json!({"subject": subject, "limit": {"unit": "requests", "window": "hour", "cap": 5}, "action": "reject"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_list_is_replaced_as_a_whole_and_reaches_the_edge() {
    let bed = Bed::start().await;
    let (a, b) = (bed.org("a").await, bed.org("b").await);
    let key = text(&bed.make(&a, "/v1/keys", json!({"name": "k", "scopes": ["call"]})).await["id"]);
    let endpoint = bed.published(&a, "haiku").await;
    let poem = bed.published(&b, "poem").await;
    let body = json!({"endpoint": poem, "name": "poem", "payer": "publisher"});
    let install = text(&bed.make(&a, "/v1/installs", body).await["id"]);
    let wanted = json!({"quotas": [
        quota(json!({"kind": "org"})),
        quota(json!({"kind": "key", "key": key})),
        quota(json!({"kind": "endpoint", "endpoint": endpoint})),
        quota(json!({"kind": "endpoint", "endpoint": poem})),
        quota(json!({"kind": "key_endpoint", "key": key, "endpoint": endpoint})),
        quota(json!({"kind": "install", "install": install})),
        {"subject": {"kind": "each_install", "endpoint": endpoint}, "limit": {"concurrency": 3}, "action": "flag"},
    ]});
    let (status, answer) = bed.call("PUT", &a.admin, "/v1/quotas", Some(&wanted)).await;
    assert_eq!((status, &answer["quotas"], &answer["edge"]), (200, &wanted["quotas"], &json!("accepted")));
    assert_eq!(bed.get(&a, "/v1/quotas").await.1, wanted);
    let at_edge = || {
        let RecordValue::Org(org) = bed.edge.value(&format!("v1/org/{}", a.id)) else { panic!() };
        serde_json::to_value(org.quotas).unwrap()
    };
    let mut expected = wanted["quotas"].as_array().unwrap().clone();
    let terms = json!({"unit": "requests", "window": "minute", "cap": 10});
    let each = json!({"kind": "each_install", "endpoint": endpoint});
    expected.push(json!({"subject": each, "limit": terms, "action": "reject"}));
    assert_eq!(at_edge(), json!(expected));
    // The publisher may cap one install of its endpoint; nobody else may.
    let of_install = json!({"quotas": [quota(json!({"kind": "install", "install": install}))]});
    assert_eq!(bed.call("PUT", &b.admin, "/v1/quotas", Some(&of_install)).await.0, 200);
    let none = json!({"quotas": []});
    assert_eq!(bed.call("PUT", &a.admin, "/v1/quotas", Some(&none)).await.0, 200);
    assert_eq!(at_edge().as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_a_quota_is_422() {
    let bed = Bed::start().await;
    let a = bed.org("a").await;
    let org = json!({"kind": "org"});
    let cases = [
        (json!({"quotas": vec![quota(org.clone()); QUOTAS_MAX + 1]}), "quotas"),
        (
            json!({"quotas": [{"subject": org, "limit": {"unit": "requests", "window": "hour", "cap": -1}}]}),
            "quotas[0].limit",
        ),
        (
            json!({"quotas": [{"subject": org, "limit": {"unit": "requests", "window": "year", "cap": 1}}]}),
            "quotas[0].limit",
        ),
        (
            json!({"quotas": [{"subject": {"kind": "team"}, "limit": {"concurrency": 1}}]}),
            "quotas[0].subject",
        ),
        (json!({"quotas": [{"limit": {"concurrency": 1}}]}), "quotas[0].subject"),
        (json!({}), "quotas"),
    ];
    for (body, param) in cases {
        let reply = bed.call("PUT", &a.admin, "/v1/quotas", Some(&body)).await;
        assert_eq!(reply.0, 422, "{}", reply.1);
        let found = reply.1["error"]["param"].as_str().unwrap();
        assert!(found.starts_with(param), "{found} for {param}");
    }
    let most = json!({"quotas": vec![quota(json!({"kind": "org"})); QUOTAS_MAX]});
    assert_eq!(bed.call("PUT", &a.admin, "/v1/quotas", Some(&most)).await.0, 200);
    let terms = json!({"name": "e", "installs": {"payer": "publisher", "limits": [{"concurrency": 1}]}});
    assert_eq!(
        bed.post(&a, "/v1/endpoints", terms).await.0,
        422,
        "with the limits of installs it is one too many"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_that_many_write_at_once_grows_and_ends_with_all_of_it() {
    let bed = Bed::start().await;
    let a = bed.org("a").await;
    let mut endpoints = Vec::new();
    for number in 0..20 {
        let made = bed.make(&a, "/v1/endpoints", json!({"name": format!("e{number}")})).await;
        endpoints.push(text(&made["id"]));
    }
    let key = format!("v1/org/{}", a.id);
    for round in 1..=5 {
        let terms = json!({"installs": {"payer": "publisher", "limits": [{"concurrency": round}]}});
        let change = |id: &String| {
            let request = bed.request(reqwest::Method::PATCH, &format!("/v1/endpoints/{id}"));
            read(request.bearer_auth(&a.admin).json(&terms))
        };
        let replies = all_at_once(endpoints.iter().map(change)).await;
        assert!(replies.iter().all(|reply| reply.0 == 200 && reply.1["edge"] == "accepted"), "{replies:?}");
        let RecordValue::Org(org) = bed.edge.value(&key) else { panic!() };
        assert_eq!(org.quotas.len(), 20);
        let newest = Limit::Concurrency(Concurrency { concurrency: round });
        assert!(org.quotas.iter().all(|quota| quota.limit == newest), "{:?}", org.quotas);
    }
    let revisions: Vec<u64> = bed
        .edge
        .order(&a.id)
        .into_iter()
        .filter(|(pushed, _)| *pushed == key)
        .map(|(_, revision)| revision)
        .collect();
    assert!(revisions.is_sorted() && revisions.len() > 100, "{revisions:?}");
    bed.edge.assert_sound();
}
