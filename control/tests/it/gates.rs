//! The gate of an endpoint: who says what it demands, what it refuses, and that nothing gets round it.

use crate::{
    bed::{Bed, code, read, text},
    pg::{TENANT, connect},
    play::{Scene, asked, demand, eval, uuid},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_gate_is_set_by_its_keeper_and_read_by_every_admin() {
    let scene = Scene::start().await;
    let path = format!("/v1/endpoints/{}/gate", scene.endpoint);
    let (status, gate) = scene.bed.get(&scene.org, &path).await;
    assert_eq!((status, &gate["revision"], &gate["deadline_s"]), (200, &json!(1), &json!(600)));
    assert_eq!(gate["evals"][0]["eval"], json!(scene.eval));
    assert_eq!(gate["evals"][0]["thresholds"], json!({"pass_rate": 1.0, "max_errors": 0}));
    assert_eq!(text(&gate["evals"][0]["data_digest"]).len(), 64);
    let body = json!({"evals": []});
    let refused = scene.put_gate(&scene.org.admin, body.clone()).await;
    assert_eq!(code(&refused), (403, "scope_missing"));
    let gate_only = scene.bed.key(&scene.org, &["gate"]).await;
    assert_eq!(code(&scene.put_gate(&gate_only, body.clone()).await), (403, "scope_missing"));
    let (status, empty) = scene.put_gate(&scene.keeper, body).await;
    assert_eq!((status, &empty["revision"], &empty["evals"]), (200, &json!(2), &json!([])));
    // Nothing is demanded any more, and what was said of it is still known.
    assert_eq!(scene.publish(2, Some(1)).await["state"], "live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_endpoint_whose_gate_nobody_set_demands_nothing() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = bed.published(&org, "haiku").await;
    let gate = bed.get(&org, &format!("/v1/endpoints/{endpoint}/gate")).await.1;
    assert_eq!((&gate["revision"], &gate["evals"]), (&json!(0), &json!([])));
    assert_eq!(bed.get(&org, "/v1/endpoints/ep_00000000000070008000000000000000/gate").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_two_changes_that_read_the_same_revision_one_is_told() {
    let scene = Scene::start().await;
    let change = |revision: i64| scene.put_gate(&scene.keeper, json!({"revision": revision, "evals": []}));
    assert_eq!(change(1).await.1["revision"], 2);
    let late = change(1).await;
    assert_eq!(code(&late), (409, "conflict"));
    assert_eq!(late.1["error"]["details"], json!({"revision": 2}));
    assert_eq!(change(2).await.1["revision"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_demanded_is_refused_by_its_field_and_changes_nothing() {
    let scene = Scene::start().await;
    let (other, eval) = (scene.bed.org("b").await, &scene.eval);
    let foreign = crate::play::eval(&scene.bed, &other).await;
    let missing = format!("eval_{:032x}", 7);
    let ok = json!({"pass_rate": 0.5});
    let with = |source: Value| json!({"eval": eval, "data_source": source, "thresholds": ok});
    let one = |item: Value| json!({"evals": [item]});
    let cases = [
        (one(demand(&missing, "x", ok.clone())), "evals[0].eval"),
        (one(demand(&foreign, "x", ok.clone())), "evals[0].eval"),
        (one(demand(eval, "x", json!({}))), "evals[0].thresholds"),
        (one(demand(eval, "x", json!({"pass_rate": 2}))), "evals[0].thresholds.pass_rate"),
        (one(demand(eval, "x", json!({"pass_rate": 1, "max_errors": -1}))), "evals[0].thresholds.max_errors"),
        (one(demand(eval, "x", json!({"passrate": 1}))), "evals[0].thresholds.passrate"),
        (one(json!({"eval": eval, "data_source": [], "thresholds": ok})), "evals[0].data_source.type"),
        (one(with(json!({"type": "jsonl"}))), "evals[0].data_source.type"),
        (one(with(json!({"type": "responses", "model": "haiku@1"}))), "evals[0].data_source.model"),
        (one(json!({"eval": "x", "data_source": {}, "thresholds": ok})), "evals[0].eval"),
        (json!({"evals": vec![demand(eval, "x", ok.clone()); 9]}), "evals"),
        (json!({"evals": [], "deadline_s": 0}), "deadline_s"),
        (json!({"evals": [], "deadline_s": 86_401}), "deadline_s"),
        (json!({"deadline_s": 60}), "evals"),
    ];
    for (body, param) in cases {
        let reply = scene.put_gate(&scene.keeper, body.clone()).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!(param)), "{body}: {}", reply.1);
    }
    let gate = scene.bed.get(&scene.org, &format!("/v1/endpoints/{}/gate", scene.endpoint)).await.1;
    assert_eq!(gate["revision"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_gate_names_cannot_be_deleted() {
    let scene = Scene::start().await;
    let free = eval(&scene.bed, &scene.org).await;
    let file = upload(&scene, &["{\"item\": {\"word\": \"a\"}}"; 10].join("\n")).await;
    let source = asked(json!({"type": "file_id", "id": file}));
    let item = json!({"eval": scene.eval, "data_source": source, "thresholds": {"pass_rate": 1}});
    scene.demand(&[item], 600).await;
    let delete = async |what: &str| {
        let reply = scene.bed.call("DELETE", &scene.org.admin, what, None).await;
        (reply.0, code(&reply).1.to_owned())
    };
    let (of_eval, of_file) = (format!("/v1/evals/{}", scene.eval), format!("/v1/files/{file}"));
    assert_eq!(delete(&of_eval).await, (409, "conflict".to_owned()));
    assert_eq!(delete(&of_file).await, (409, "conflict".to_owned()));
    assert_eq!(delete(&format!("/v1/evals/{free}")).await.0, 200);
    // The file's items are asked like any others.
    let running = scene.publish(2, Some(1)).await;
    scene.finish(&running, 0, (10, 0, 0)).await;
    assert_eq!(scene.ended(&running).await["state"], "live");
    scene.demand(&[], 60).await;
    assert_eq!((delete(&of_eval).await.0, delete(&of_file).await.0), (200, 200));
    // What was measured still stands to be read.
    let kept = scene.publication(&running["id"]).await;
    assert_eq!(
        (&kept["evals"][0]["verdict"], &kept["evals"][0]["counts"]["passed"]),
        (&json!("passed"), &json!(10))
    );
}

/// A file of data; gives its id.
async fn upload(scene: &Scene, lines: &str) -> String {
    let part = |name: &str, content: &str| {
        format!("--cut\r\ncontent-disposition: form-data; name={name}\r\n\r\n{content}\r\n")
    };
    let body = part("\"purpose\"", "evals") + &part("\"file\"; filename=\"a.jsonl\"", lines) + "--cut--\r\n";
    let request = scene.bed.request(Method::POST, "/v1/files").bearer_auth(&scene.org.admin);
    let request = request.header("content-type", "multipart/form-data; boundary=cut").body(body);
    let (status, answer) = read(request).await;
    assert!([200, 201].contains(&status), "{answer}");
    text(&answer["id"])
}

/// Statements of the tenant role in one transaction, and the constraint that refuses its commit.
pub async fn refused(scene: &Scene, statements: &[String]) -> Option<String> {
    let mut db = connect(&scene.bed.database.name, Some(TENANT)).await;
    let mut tx = db.begin().await.unwrap();
    let org = uuid(&scene.org.id).to_string();
    sqlx::query("SELECT set_config('app.org_id', $1, true)").bind(org).execute(&mut *tx).await.unwrap();
    for sql in statements {
        if let Err(error) = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut *tx).await {
            return error.as_database_error().unwrap().constraint().map(str::to_owned);
        }
    }
    let error = tx.commit().await.err()?;
    error.as_database_error().unwrap().constraint().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_path_gets_round_the_gate_not_even_through_the_database() {
    // The sweep would decide what is put into its rows here.
    let scene = Scene::with(&[("AG_GATE_POLL_MS", "3600000")]).await;
    let (org, endpoint) = (uuid(&scene.org.id), uuid(&scene.endpoint));
    let running = scene.publish(2, Some(1)).await;
    let publication = uuid(&text(&running["id"]));
    let run = uuid(&text(&running["evals"][0]["run"]));
    let moved =
        |version: i32| format!("UPDATE endpoints SET live_version = {version} WHERE id = '{endpoint}'");
    let decided =
        format!("UPDATE publications SET state = 'live', ended_at = now() WHERE id = '{publication}'");
    let new = |version: i32, state: &str| {
        format!(
            "INSERT INTO publications (org_id, id, endpoint_id, version, replaced, state, deadline_at)
             VALUES ('{org}', '{}', '{endpoint}', {version}, 1, '{state}', now())",
            uuid::Uuid::from_u128(7)
        )
    };
    let said = |verdict: &str| {
        format!("UPDATE verdicts SET verdict = '{verdict}' WHERE publication_id = '{publication}'")
    };
    let wall = Some("endpoints_live_by_publication".to_owned());
    let cases = [
        ("the pointer alone", vec![moved(2)], wall.clone()),
        ("with an older publication of the version", vec![moved(1), moved(2)], wall.clone()),
        (
            "to nothing",
            vec![format!("UPDATE endpoints SET live_version = NULL WHERE id = '{endpoint}'")],
            wall.clone(),
        ),
        ("with a publication of another version", vec![new(1, "live"), moved(2)], wall.clone()),
        ("with one that did not go live", vec![new(2, "failed"), moved(2)], wall.clone()),
        ("with one that has no verdict", vec![new(2, "live"), moved(2)], wall.clone()),
        ("with one whose run goes on", vec![decided.clone(), moved(2)], wall.clone()),
        ("with a verdict that is not there to be changed", vec![said("passed")], None),
        ("a second one that runs", vec![new(2, "running")], Some("publications_one_running".to_owned())),
    ];
    for (what, statements, expected) in cases {
        assert_eq!(refused(&scene, &statements).await, expected, "{what}");
    }
    assert_eq!(scene.live().await, Some(1));
    // Even a superuser's verdict needs a run that has ended.
    let mut db = scene.bed.database.superuser().await;
    sqlx::query(AssertSqlSafe(said("passed"))).execute(&mut db).await.unwrap();
    assert_eq!(refused(&scene, &[decided.clone(), moved(2)]).await, wall);
    let thresholds =
        format!("UPDATE verdicts SET thresholds = '{{\"pass_rate\": 0}}' WHERE run_id = '{run}'");
    let ended = format!(
        "UPDATE gate_runs SET ended_at = now(), status = 'completed', passed = 1, failed = 0, errored = 0,
            infrastructure = 0, total = 1, failing = '{{}}', mean_scores = '{{}}' WHERE run_id = '{run}'"
    );
    for sql in [&thresholds, &ended] {
        sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut db).await.unwrap();
    }
    assert_eq!(refused(&scene, &[decided, moved(2)]).await, wall, "for other thresholds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_decided_stays_decided() {
    let scene = Scene::start().await;
    let list = scene.bed.get(&scene.org, &scene.path()).await.1;
    let publication = uuid(&text(&list["data"][0]["id"]));
    let again = format!("UPDATE publications SET state = 'failed' WHERE id = '{publication}'");
    assert_eq!(refused(&scene, &[again]).await.as_deref(), Some("publications_decided_once"));
}
