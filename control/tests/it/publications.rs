//! Versions and publications: numbers without gaps, one winner, rollback, withdrawal, and what the edge is told.

use crate::{
    bed::{Bed, Reply, code, read, text, version},
    bodies::all_at_once,
};
use alphagate_contract::record::RecordValue;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c06_of_fifty_publications_at_once_one_wins_and_versions_have_no_gaps() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    let send = |what: &str, body: &Value| {
        let request = bed.request(Method::POST, &format!("/v1/endpoints/{endpoint}/{what}"));
        read(request.bearer_auth(&org.admin).json(body))
    };
    let replies: Vec<Reply> = all_at_once((0..50).map(|_| send("versions", &version(None)))).await;
    let mut numbers: Vec<u64> = replies.iter().map(|reply| reply.1["version"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
    let publication = json!({"version": 7, "expected_live": null});
    let replies: Vec<Reply> = all_at_once((0..50).map(|_| send("publications", &publication))).await;
    assert_eq!(replies.iter().filter(|reply| reply.0 == 201).count(), 1);
    assert_eq!(replies.iter().filter(|reply| code(reply) == (409, "conflict")).count(), 49);
    let refused = replies.iter().find(|reply| reply.0 == 409).unwrap();
    assert_eq!(refused.1["error"]["details"], json!({"live": 7}));
    let list = bed.get(&org, &format!("/v1/endpoints/{endpoint}/publications")).await.1;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    bed.edge.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_publication_moves_one_pointer_and_says_what_is_visible() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let made = bed.make(&org, "/v1/endpoints", json!({"name": "haiku"})).await;
    let endpoint = text(&made["id"]);
    assert_eq!(
        (&made["live"], &made["visibility"], &made["edge"]),
        (&Value::Null, &json!("private"), &json!("accepted"))
    );
    let RecordValue::Name(name) = bed.edge.value(&format!("v1/name/{}/haiku", org.id)) else { panic!() };
    assert_eq!((name.endpoint.to_string(), name.publisher.to_string()), (endpoint.clone(), org.id.clone()));
    bed.version(&org, &endpoint).await;
    let RecordValue::Version(stored) = bed.edge.value(&format!("v1/version/{endpoint}/1")) else { panic!() };
    assert_eq!(stored.config.instructions.as_deref(), Some("Write a haiku."));
    let before = bed.edge.order(&org.id).len();
    let published = bed.publish(&org, &endpoint, 1, None).await;
    assert_eq!(published["state"], "live");
    assert_eq!(published["visible"], json!({"edge_accepted": true}));
    let told: Vec<String> =
        bed.edge.order(&org.id).split_off(before).into_iter().map(|(key, _)| key).collect();
    assert_eq!(told, [format!("v1/live/{endpoint}")]);
    assert_eq!(live(&bed, &endpoint), (Some(1), false));
}

fn live(bed: &Bed, endpoint: &str) -> (Option<u32>, bool) {
    let RecordValue::Live(live) = bed.edge.value(&format!("v1/live/{endpoint}")) else { panic!() };
    (live.version, live.withdrawn)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn publish_roll_back_and_withdraw() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = bed.published(&org, "haiku").await;
    bed.version(&org, &endpoint).await;
    bed.publish(&org, &endpoint, 2, Some(1)).await;
    assert_eq!(live(&bed, &endpoint), (Some(2), false));
    let back = bed.publish(&org, &endpoint, 1, Some(2)).await;
    assert_eq!((&back["version"], &back["replaced"]), (&json!(1), &json!(2)));
    assert_eq!(live(&bed, &endpoint), (Some(1), false));
    let path = format!("/v1/endpoints/{endpoint}");
    let publish = format!("{path}/publications");
    let stale = bed.post(&org, &publish, json!({"version": 2, "expected_live": 2})).await;
    assert_eq!(code(&stale), (409, "conflict"));
    let again = bed.post(&org, &publish, json!({"version": 1, "expected_live": 1})).await;
    assert_eq!(code(&again), (409, "conflict"));
    let unknown = bed.post(&org, &publish, json!({"version": 9, "expected_live": 1})).await;
    assert_eq!((unknown.0, &unknown.1["error"]["param"]), (422, &json!("version")));
    let (status, withdrawn) = bed.call("POST", &org.admin, &format!("{path}/withdraw"), None).await;
    assert_eq!((status, &withdrawn["edge"]), (200, &json!("accepted")));
    assert_eq!(live(&bed, &endpoint), (Some(1), true));
    let twice = bed.call("POST", &org.admin, &format!("{path}/withdraw"), None).await.1;
    assert_eq!(twice["withdrawn_at"], withdrawn["withdrawn_at"]);
    for (method, path, body) in [
        ("POST", &publish, json!({"version": 2, "expected_live": 1})),
        ("POST", &format!("{path}/versions"), version(None)),
        ("PATCH", &path, json!({"visibility": "private"})),
    ] {
        assert_eq!(code(&bed.call(method, &org.admin, path, Some(&body)).await), (409, "conflict"), "{path}");
    }
    let list = bed.get(&org, &publish).await.1;
    let history: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|p| p["version"].as_u64().unwrap()).collect();
    assert_eq!(history, [1, 2, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_edge_reads_through_exactly_what_it_was_pushed() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = bed.published(&org, "haiku").await;
    for key in [
        format!("v1/org/{}", org.id),
        format!("v1/name/{}/haiku", org.id),
        format!("v1/live/{endpoint}"),
        format!("v1/version/{endpoint}/1"),
    ] {
        let (status, body) = read(bed.signed("GET", &format!("/internal/v1/records/{key}"), b"")).await;
        assert_eq!(status, 200, "{key}");
        assert_eq!(body, serde_json::to_value(bed.edge.record(&key).unwrap()).unwrap());
    }
    for missing in ["v1/version/ep_00000000000000000000000000000000/1", "v1/nonsense", "v2/org/x"] {
        let reply = read(bed.signed("GET", &format!("/internal/v1/records/{missing}"), b"")).await;
        assert_eq!(code(&reply), (404, "not_found"));
    }
}
