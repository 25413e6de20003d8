//! Canaries: a version on a share of the keys, under the endpoint's gate, until something goes live or it is stopped.

use crate::{
    bed::{Bed, Reply, code, text},
    gates::refused,
    play::{Scene, uuid},
};
use alphagate_contract::record::{Canary, RecordValue};
use serde_json::{Value, json};

fn told(bed: &Bed, endpoint: &str) -> (Option<u32>, Option<Canary>) {
    let RecordValue::Live(live) = bed.edge.value(&format!("v1/live/{endpoint}")) else { panic!() };
    (live.version, live.canary)
}

async fn start(scene: &Scene, body: Value) -> Reply {
    scene.bed.post(&scene.org, &format!("/v1/endpoints/{}/canary", scene.endpoint), body).await
}

async fn stop(scene: &Scene) -> Value {
    let path = format!("/v1/endpoints/{}/canary", scene.endpoint);
    let (status, endpoint) = scene.bed.call("DELETE", &scene.org.admin, &path, None).await;
    assert_eq!(status, 200, "{endpoint}");
    endpoint
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_canary_waits_for_the_gates_verdict_changes_its_share_at_once_and_is_ended_by_what_goes_live() {
    let scene = Scene::start().await;
    let (status, running) = start(&scene, json!({"version": 2, "percent": 10})).await;
    assert_eq!((status, &running["state"], &running["canary_percent"]), (201, &json!("running"), &json!(10)));
    assert_eq!(told(&scene.bed, &scene.endpoint), (Some(1), None));
    scene.finish(&running, 0, (10, 0, 0)).await;
    let live = scene.ended(&running).await;
    assert_eq!((&live["state"], &live["replaced"]), (&json!("live"), &Value::Null), "{live:#}");
    let endpoint = scene.bed.get(&scene.org, &format!("/v1/endpoints/{}", scene.endpoint)).await.1;
    assert_eq!((&endpoint["live"], &endpoint["canary"]), (&json!(1), &json!({"version": 2, "percent": 10})));
    let version = scene.bed.get(&scene.org, &format!("/v1/endpoints/{}/versions/2", scene.endpoint)).await.1;
    assert!(version["first_live_at"].is_null(), "it is a draft to others");
    // The verdict stands, whatever the share is, and for everybody.
    let (_, more) = start(&scene, json!({"version": 2, "percent": 50})).await;
    assert_eq!((&more["state"], &more["evals"][0]["reused"]), (&json!("live"), &json!(true)), "{more:#}");
    assert_eq!(more["visible"], json!({"edge_accepted": true}));
    assert_eq!(told(&scene.bed, &scene.endpoint), (Some(1), Some(Canary { version: 2, percent: 50 })));
    assert_eq!(code(&start(&scene, json!({"version": 2, "percent": 50})).await), (409, "conflict"));
    let promoted = scene.publish(2, Some(1)).await;
    assert_eq!((&promoted["state"], &promoted["replaced"]), (&json!("live"), &json!(1)), "{promoted:#}");
    assert_eq!(told(&scene.bed, &scene.endpoint), (Some(2), None));
    assert_eq!(scene.runs().await, 1);
    scene.bed.edge.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_canary_that_fails_never_starts_and_a_stopped_one_serves_nobody() {
    let scene = Scene::start().await;
    let (_, running) = start(&scene, json!({"version": 2, "percent": 10})).await;
    scene.finish(&running, 0, (9, 1, 0)).await;
    assert_eq!(scene.ended(&running).await["state"], "failed");
    assert_eq!(told(&scene.bed, &scene.endpoint), (Some(1), None));
    // Past the gate only with the scope for it.
    let past = json!({"version": 2, "percent": 10, "force": true});
    assert_eq!(code(&start(&scene, past.clone()).await), (403, "scope_missing"));
    let forcer = scene.bed.key(&scene.org, &["admin", "force"]).await;
    let path = format!("/v1/endpoints/{}/canary", scene.endpoint);
    let (status, forced) = scene.bed.call("POST", &forcer, &path, Some(&past)).await;
    assert_eq!((status, &forced["state"]), (201, &json!("live")), "{forced:#}");
    assert!(forced["forced_by"].is_string());
    assert_eq!(told(&scene.bed, &scene.endpoint).1, Some(Canary { version: 2, percent: 10 }));
    assert!(stop(&scene).await["canary"].is_null());
    assert_eq!(told(&scene.bed, &scene.endpoint), (Some(1), None));
    assert!(stop(&scene).await["canary"].is_null(), "as often as one likes");
    // One that is still measured ends, too.
    scene.bed.version(&scene.org, &scene.endpoint).await;
    let (_, running) = start(&scene, json!({"version": 3, "percent": 10})).await;
    stop(&scene).await;
    assert_eq!(scene.publication(&running["id"]).await["state"], "canceled");
    scene.all_stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_can_be_no_canary_is_refused() {
    let scene = Scene::start().await;
    for (body, status, param) in [
        (json!({"version": 2, "percent": 0}), 422, "percent"),
        (json!({"version": 2, "percent": 100}), 422, "percent"),
        (json!({"version": 9, "percent": 5}), 422, "version"),
        (json!({"version": 1, "percent": 5}), 409, "version"),
    ] {
        let reply = start(&scene, body.clone()).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (status, &json!(param)), "{body}");
    }
    let draft = text(&scene.bed.make(&scene.org, "/v1/endpoints", json!({"name": "draft"})).await["id"]);
    scene.bed.version(&scene.org, &draft).await;
    let body = json!({"version": 1, "percent": 5});
    let reply = scene.bed.post(&scene.org, &format!("/v1/endpoints/{draft}/canary"), body).await;
    assert_eq!(code(&reply), (409, "conflict"), "nothing is live beside it");
    let publication = json!({"version": 2, "expected_live": 1, "percent": 5});
    assert_eq!(scene.bed.post(&scene.org, &scene.path(), publication).await.0, 422);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_canary_gets_round_the_gate_not_even_through_the_database() {
    let scene = Scene::with(&[("AG_GATE_POLL_MS", "3600000")]).await;
    let (org, endpoint) = (uuid(&scene.org.id), uuid(&scene.endpoint));
    let set = |version: i32, percent: i32| {
        format!(
            "UPDATE endpoints SET canary_version = {version}, canary_percent = {percent} WHERE id = '{endpoint}'"
        )
    };
    let forced = |percent: &str| {
        format!(
            "INSERT INTO publications
                (org_id, id, endpoint_id, version, replaced, state, deadline_at, canary_percent, forced_by)
             SELECT '{org}', '{}', '{endpoint}', 2, 1, 'live', now(), {percent}, id FROM keys LIMIT 1",
            uuid::Uuid::from_u128(7)
        )
    };
    let live = format!("UPDATE endpoints SET live_version = 2 WHERE id = '{endpoint}'");
    let wall = Some("endpoints_canary_by_publication".to_owned());
    let cases = [
        ("the column alone", vec![set(2, 10)], wall.clone()),
        ("with a publication of another share", vec![forced("20"), set(2, 10)], wall.clone()),
        ("with one for everybody", vec![forced("NULL"), set(2, 10)], wall),
        (
            "half a canary",
            vec![format!("UPDATE endpoints SET canary_version = 2 WHERE id = '{endpoint}'")],
            Some("endpoints_canary_is_whole".to_owned()),
        ),
        (
            "a canary's moves no live pointer",
            vec![forced("10"), live],
            Some("endpoints_live_by_publication".to_owned()),
        ),
        ("a share of everybody", vec![forced("100")], Some("publications_canary_is_a_share".to_owned())),
        ("with its own, forced", vec![forced("10"), set(2, 10)], None),
    ];
    for (what, statements, expected) in cases {
        assert_eq!(refused(&scene, &statements).await, expected, "{what}");
    }
}
