//! What happens to a publication while its runs go on: others at once, a rollback, force, another gate, a killed process.

use crate::{
    bed::{Reply, code, read, text},
    bodies::all_at_once,
    play::{Scene, demand, eval, passed_behind_our_back, uuid},
    process::Process,
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_fifty_publications_at_once_under_a_gate_one_runs() {
    let scene = Scene::start().await;
    let send = || {
        let request = scene.bed.request(Method::POST, &scene.path()).bearer_auth(&scene.org.admin);
        read(request.json(&json!({"version": 2, "expected_live": 1})))
    };
    let replies: Vec<Reply> = all_at_once((0..50).map(|_| send())).await;
    let made: Vec<&Reply> = replies.iter().filter(|reply| reply.0 == 201).collect();
    assert_eq!((made.len(), &made[0].1["state"]), (1, &json!("running")));
    let refused: Vec<&Reply> = replies.iter().filter(|reply| code(reply) == (409, "conflict")).collect();
    assert_eq!(refused.len(), 49);
    assert!(refused.iter().all(|reply| reply.1["error"]["details"]["running"] == made[0].1["id"]));
    assert_eq!((scene.runs().await, scene.live().await), (1, Some(1)));
    scene.finish(&made[0].1, 0, (10, 0, 0)).await;
    assert_eq!(scene.ended(&made[0].1).await["state"], "live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_rollback_during_a_run_waits_until_the_run_is_canceled() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    scene.finish(&running, 0, (10, 0, 0)).await;
    assert_eq!(scene.ended(&running).await["state"], "live");
    scene.bed.version(&scene.org, &scene.endpoint).await;
    let running = scene.publish(3, Some(2)).await;
    let body = json!({"version": 1, "expected_live": 2});
    let refused = scene.bed.post(&scene.org, &scene.path(), body.clone()).await;
    assert_eq!(
        (code(&refused), &refused.1["error"]["details"]["running"]),
        ((409, "conflict"), &running["id"])
    );
    let cancel = format!("{}/{}/cancel", scene.path(), text(&running["id"]));
    let (status, canceled) = scene.bed.call("POST", &scene.org.admin, &cancel, None).await;
    assert_eq!(
        (status, &canceled["state"], &canceled["reason"]),
        (200, &json!("canceled"), &json!("canceled"))
    );
    assert_eq!(scene.bed.call("POST", &scene.org.admin, &cancel, None).await.1["state"], "canceled", "again");
    scene.all_stopped().await;
    assert_eq!(scene.bed.make(&scene.org, &scene.path(), body).await["state"], "running");
    let list = scene.bed.get(&scene.org, &scene.path()).await.1;
    let ended = format!("{}/{}/cancel", scene.path(), text(&list["data"][3]["id"]));
    assert_eq!(code(&scene.bed.call("POST", &scene.org.admin, &ended, None).await), (409, "conflict"));
    let unknown = format!("{}/pub_{:032x}/cancel", scene.path(), 7);
    assert_eq!(scene.bed.call("POST", &scene.org.admin, &unknown, None).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn force_needs_its_scope_goes_past_gate_and_run_and_is_recorded() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    scene.bed.version(&scene.org, &scene.endpoint).await;
    let body = json!({"version": 3, "expected_live": 1, "force": true});
    for key in [&scene.org.admin, &scene.keeper] {
        let refused = scene.bed.call("POST", key, &scene.path(), Some(&body)).await;
        assert_eq!(code(&refused), (403, "scope_missing"));
    }
    let made =
        scene.bed.make(&scene.org, "/v1/keys", json!({"name": "f", "scopes": ["admin", "force"]})).await;
    let key = text(&made["secret"]);
    let stale = json!({"version": 3, "expected_live": null, "force": true});
    let refused = scene.bed.call("POST", &key, &scene.path(), Some(&stale)).await;
    assert_eq!(code(&refused), (409, "conflict"), "force does not go past what is live");
    assert_eq!(scene.publication(&running["id"]).await["state"], "running");
    let (status, forced) = scene.bed.call("POST", &key, &scene.path(), Some(&body)).await;
    assert_eq!((status, &forced["state"], &forced["forced_by"]), (201, &json!("live"), &made["id"]));
    assert_eq!(forced["evals"], json!([]));
    let superseded = scene.ended(&running).await;
    assert_eq!((&superseded["state"], &superseded["reason"]), (&json!("superseded"), &json!("forced")));
    scene.all_stopped().await;
    assert_eq!(scene.live().await, Some(3));
    // A key with the scope does not force by itself.
    let gated =
        scene.bed.call("POST", &key, &scene.path(), Some(&json!({"version": 1, "expected_live": 3}))).await;
    assert_eq!((&gated.1["state"], &gated.1["forced_by"]), (&json!("running"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_gate_that_changes_during_a_run_is_what_decides() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    // Another eval is demanded: its run starts at once, and is waited for.
    let other = eval(&scene.bed, &scene.org).await;
    let rate = json!({"pass_rate": 1.0});
    scene.demand(&[scene.item(rate.clone()), demand(&other, "haiku", rate.clone())], 600).await;
    let both = wait_for(&scene, &running, |found| found["evals"].as_array().unwrap().len() == 2).await;
    assert_eq!((&both["gate_revision"], &both["evals"][0]["run"]), (&json!(2), &running["evals"][0]["run"]));
    scene.finish(&running, 0, (9, 1, 0)).await;
    assert_eq!(scene.ended(&running).await["state"], "failed");

    // Less is demanded: what fails no longer is measured by the new thresholds, and the run that nobody wants is stopped.
    scene.bed.version(&scene.org, &scene.endpoint).await;
    let running = scene.publish(3, Some(1)).await;
    assert_eq!(running["state"], "running");
    scene.demand(&[scene.item(json!({"pass_rate": 0.9}))], 600).await;
    wait_for(&scene, &running, |found| found["evals"].as_array().unwrap().len() == 1).await;
    scene.finish(&running, 0, (9, 1, 0)).await;
    let live = scene.ended(&running).await;
    assert_eq!((&live["state"], &live["gate_revision"]), (&json!("live"), &json!(3)));
    scene.all_stopped().await;
}

async fn wait_for(scene: &Scene, publication: &Value, seen: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..600 {
        let found = scene.publication(&publication["id"]).await;
        if seen(&found) {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("never seen: {:#}", scene.publication(&publication["id"]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_eval_that_changes_during_a_run_is_measured_anew() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    let mut db = scene.bed.database.superuser().await;
    sqlx::query("UPDATE evals SET revision = 2 WHERE id = $1")
        .bind(uuid(&scene.eval))
        .execute(&mut db)
        .await
        .unwrap();
    scene.finish(&running, 0, (10, 0, 0)).await;
    let anew = wait_for(&scene, &running, |found| found["evals"][0]["eval_revision"] == 2).await;
    assert_eq!(
        (&anew["state"], scene.live().await),
        (&json!("running"), Some(1)),
        "passed by the old criteria only"
    );
    assert_ne!(anew["evals"][0]["run"], running["evals"][0]["run"]);
    scene.finish(&running, 0, (10, 0, 0)).await;
    assert_eq!(scene.ended(&running).await["state"], "live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn withdrawn_during_a_run_it_is_superseded() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    let withdraw = format!("/v1/endpoints/{}/withdraw", scene.endpoint);
    assert_eq!(scene.bed.call("POST", &scene.org.admin, &withdraw, None).await.0, 200);
    let ended = scene.publication(&running["id"]).await;
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("superseded"), &json!("withdrawn")));
    scene.all_stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_ended_while_nobody_ran_is_decided_by_whoever_starts_next() {
    // What every kill leaves behind are rows: here nobody hears the word to the sweep, and no clock helps.
    let mut scene = Scene::start().await;
    let other = scene.bed.published(&scene.org, "other").await;
    scene.bed.version(&scene.org, &other).await;
    let (passing, late) = (scene.publish(2, Some(1)).await, scene.item(json!({"pass_rate": 1.0})));
    let gate = format!("/v1/endpoints/{other}/gate");
    let body = json!({"evals": [late], "deadline_s": 1});
    assert_eq!(scene.bed.call("PUT", &scene.keeper, &gate, Some(&body)).await.0, 200);
    let path = format!("/v1/endpoints/{other}/publications");
    let hanging = scene.bed.make(&scene.org, &path, json!({"version": 2, "expected_live": 1})).await;
    scene.bed.control.stop().await;
    passed_behind_our_back(&scene.bed, &text(&passing["evals"][0]["run"])).await;
    scene.bed.control = scene.bed.replica(&[]).await;
    assert_eq!(scene.ended(&passing).await["state"], "live");
    let path = format!("{path}/{}?wait_s=30", text(&hanging["id"]));
    assert_eq!(scene.bed.get(&scene.org, &path).await.1["reason"], "deadline");
    scene.all_stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_in_the_middle_of_a_decision_the_next_process_decides() {
    let mut scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    scene.bed.control.stop().await;
    let (secrets, database, edge) = (&scene.bed.secrets, &scene.bed.database, &scene.bed.edge);
    // Whoever decides has marked the version and stops before the pointer's record.
    let mut holder = database.superuser().await;
    let mut hold = holder.begin().await.unwrap();
    let record = format!("v1/live/{}", scene.endpoint);
    let lock = sqlx::query("SELECT FROM records WHERE key = $1 FOR UPDATE").bind(record);
    assert_eq!(lock.execute(&mut *hold).await.unwrap().rows_affected(), 1);
    let mut process = Process::start(secrets, database, edge, &[]).await;
    passed_behind_our_back(&scene.bed, &text(&running["evals"][0]["run"])).await;
    let mut db = database.superuser().await;
    let waiting = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO records%'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut db).await.unwrap() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    process.signal("-KILL");
    process.child.wait().await.unwrap();
    hold.commit().await.unwrap();
    let state: String = sqlx::query_scalar("SELECT state FROM publications WHERE id = $1")
        .bind(uuid(&text(&running["id"])))
        .fetch_one(&mut db)
        .await
        .unwrap();
    assert_eq!(state, "running", "nothing half-made");
    scene.bed.control = scene.bed.replica(&[]).await;
    assert_eq!((scene.ended(&running).await["state"].clone(), scene.live().await), (json!("live"), Some(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn several_replicas_decide_once() {
    let scene = Scene::start().await;
    let _replicas = (scene.bed.replica(&[]).await, scene.bed.replica(&[]).await);
    for (version, live) in [(2, 1), (3, 2), (4, 3)] {
        let running = scene.publish(version, Some(live)).await;
        scene.bed.version(&scene.org, &scene.endpoint).await;
        scene.finish(&running, 0, (10, 0, 0)).await;
        assert_eq!(scene.ended(&running).await["state"], "live");
    }
    assert_eq!((scene.runs().await, scene.live().await), (3, Some(4)));
}
