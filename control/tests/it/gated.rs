//! Publications under a gate: passed, failed or left open; one verdict for one question; and never for ever.

use crate::{
    bed::{code, read, text},
    play::{Scene, demand, eval},
};
use alphagate_contract::record::RecordValue;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_version_goes_live_by_itself_when_its_run_has_passed() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    assert_eq!((&running["state"], &running["replaced"]), (&json!("running"), &Value::Null));
    assert!(running["visible"].is_null() && running["deadline_at"].is_string(), "{running:#}");
    let eval = &running["evals"][0];
    assert_eq!((&eval["verdict"], &eval["reused"]), (&Value::Null, &json!(false)));
    assert_eq!(scene.live().await, Some(1));
    scene.finish(&running, 0, (10, 0, 0)).await;
    let live = scene.ended(&running).await;
    assert_eq!(
        (&live["state"], &live["replaced"], &live["reason"]),
        (&json!("live"), &json!(1), &Value::Null)
    );
    assert_eq!(
        (&live["evals"][0]["verdict"], &live["evals"][0]["counts"]["passed"]),
        (&json!("passed"), &json!(10))
    );
    assert_eq!((scene.live().await, &live["gate_revision"]), (Some(2), &json!(1)));
    // The edge is told by the outbox, nobody has to ask.
    let told = async || {
        let RecordValue::Live(record) = scene.bed.edge.value(&format!("v1/live/{}", scene.endpoint)) else {
            panic!()
        };
        record.version
    };
    for _ in 0..600 {
        if told().await == Some(2) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(told().await, Some(2));
    let version = scene.bed.get(&scene.org, &format!("/v1/endpoints/{}/versions/2", scene.endpoint)).await.1;
    assert!(version["first_live_at"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_version_that_fails_stays_a_draft_and_its_failing_items_are_named() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    scene.finish(&running, 0, (8, 2, 0)).await;
    let failed = scene.ended(&running).await;
    assert_eq!((&failed["state"], &failed["reason"]), (&json!("failed"), &json!("thresholds_missed")));
    let eval = &failed["evals"][0];
    assert_eq!(eval["reasons"], json!([{"kind": "pass_rate", "wanted": 1.0, "measured": 0.8}]));
    let failing = eval["failing"].as_array().unwrap();
    assert_eq!(failing.len(), 2);
    let url = format!("/v1/evals/{}/runs/{}/output_items/", scene.eval, text(&eval["run"]));
    assert_eq!(text(&failing[0]["url"]), url + &text(&failing[0]["id"]));
    assert_eq!(scene.live().await, Some(1));
    let version = scene.bed.get(&scene.org, &format!("/v1/endpoints/{}/versions/2", scene.endpoint)).await.1;
    assert!(version["first_live_at"].is_null());
    // Asking again asks the same run: nobody publishes until a version is lucky.
    let again = scene.publish(2, Some(1)).await;
    assert_eq!((&again["state"], &again["evals"][0]["reused"]), (&json!("failed"), &json!(true)));
    assert_eq!((again["evals"][0]["failing"].as_array().unwrap().len(), scene.runs().await), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn errors_of_ours_leave_it_open_and_are_asked_again() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    scene.finish(&running, 0, (0, 9, 1)).await;
    let open = scene.ended(&running).await;
    assert_eq!((&open["state"], &open["reason"]), (&json!("inconclusive"), &json!("no_verdict")));
    assert_eq!(open["evals"][0]["reasons"][0]["kind"], "errors");
    let running = scene.publish(2, Some(1)).await;
    assert_eq!((&running["state"], scene.runs().await), (&json!("running"), 2));
    scene.cancel_run(&running).await;
    let open = scene.ended(&running).await;
    assert_eq!(open["evals"][0]["reasons"], json!([{"kind": "run_ended", "status": "canceled"}]));
    // More tolerance settles what was measured already: nothing runs again.
    scene.demand(&[scene.item(json!({"pass_rate": 0.5, "max_errors": 1}))], 600).await;
    let failed = scene.publish(2, Some(1)).await;
    assert_eq!((&failed["state"], scene.runs().await), (&json!("failed"), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_verdict_that_stands_is_used_at_once_for_a_rollback_too() {
    let scene = Scene::start().await;
    // Version 1 went live before there was a gate: going back to it is measured like anything else.
    let running = scene.publish(2, Some(1)).await;
    scene.finish(&running, 0, (10, 0, 0)).await;
    assert_eq!(scene.ended(&running).await["state"], "live");
    let back = scene.publish(1, Some(2)).await;
    assert_eq!(back["state"], "running");
    scene.finish(&back, 0, (10, 0, 0)).await;
    assert_eq!(scene.ended(&back).await["state"], "live");
    for (version, live) in [(2, 1), (1, 2), (2, 1)] {
        let moved = scene.publish(version, Some(live)).await;
        assert_eq!(
            (&moved["state"], &moved["evals"][0]["reused"]),
            (&json!("live"), &json!(true)),
            "{moved:#}"
        );
        assert_eq!(moved["visible"], json!({"edge_accepted": true}));
    }
    assert_eq!(scene.runs().await, 2);
    // Other data are another question.
    scene.demand(&[demand(&scene.eval, "other", json!({"pass_rate": 1.0}))], 600).await;
    assert_eq!(scene.publish(1, Some(2)).await["state"], "running");
    assert_eq!(scene.runs().await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_several_evals_all_must_pass_and_one_failure_ends_the_others() {
    let scene = Scene::start().await;
    let other = eval(&scene.bed, &scene.org).await;
    let rate = json!({"pass_rate": 1.0});
    let evals = [scene.item(rate.clone()), demand(&other, "haiku", rate.clone()), scene.item(rate)];
    scene.demand(&evals, 600).await;
    let running = scene.publish(2, Some(1)).await;
    assert_eq!(running["evals"].as_array().unwrap().len(), 3);
    assert_eq!(running["evals"][0]["run"], running["evals"][2]["run"], "the same question is asked once");
    assert_eq!(scene.open_runs().await, 2);
    scene.finish(&running, 0, (10, 0, 0)).await;
    scene.finish(&running, 1, (9, 1, 0)).await;
    let failed = scene.ended(&running).await;
    let verdicts: Vec<&Value> =
        failed["evals"].as_array().unwrap().iter().map(|eval| &eval["verdict"]).collect();
    assert_eq!(
        (&failed["state"], verdicts),
        (&json!("failed"), vec![&json!("passed"), &json!("failed"), &json!("passed")])
    );

    scene.bed.version(&scene.org, &scene.endpoint).await;
    let running = scene.publish(3, Some(1)).await;
    scene.finish(&running, 1, (0, 10, 0)).await;
    assert_eq!(scene.ended(&running).await["state"], "failed", "nothing can mend it");
    scene.all_stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_any_runner_it_is_inconclusive_at_the_deadline_and_its_runs_are_stopped() {
    let scene = Scene::start().await;
    scene.demand(&[scene.item(json!({"pass_rate": 1.0}))], 1).await;
    let running = scene.publish(2, Some(1)).await;
    assert_eq!(running["state"], "running");
    let open = scene.ended(&running).await;
    assert_eq!((&open["state"], &open["reason"]), (&json!("inconclusive"), &json!("deadline")));
    assert!(text(&open["ended_at"]) >= text(&open["deadline_at"]));
    assert_eq!((scene.live().await, &open["evals"][0]["verdict"]), (Some(1), &Value::Null));
    scene.all_stopped().await;
    // The endpoint is free again.
    assert_eq!(scene.publish(2, Some(1)).await["state"], "running");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_that_come_after_the_deadline_decide_nothing() {
    let scene = Scene::start().await;
    scene.demand(&[scene.item(json!({"pass_rate": 1.0}))], 10).await;
    let running = scene.publish(2, Some(1)).await;
    let run = text(&running["evals"][0]["run"]);
    scene.hold(&run).await;
    assert_eq!(scene.ended(&running).await["reason"], "deadline");
    scene.all_stopped().await;
    scene.answer(&run, (10, 0, 0)).await;
    let still = scene.publication(&running["id"]).await;
    assert_eq!((&still["state"], scene.live().await), (&json!("inconclusive"), Some(1)));
    // Nor do they stand for later: what was stopped is asked again.
    let again = scene.publish(2, Some(1)).await;
    assert_eq!((&again["state"], &again["evals"][0]["reused"]), (&json!("running"), &json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_that_is_deleted_is_no_verdict() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    let url = text(&running["evals"][0]["run_url"]);
    assert_eq!(scene.bed.call("DELETE", &scene.org.admin, &url, None).await.0, 200);
    let open = scene.ended(&running).await;
    assert_eq!((&open["state"], &open["reason"]), (&json!("inconclusive"), &json!("no_verdict")));
    assert_eq!(open["evals"][0]["reasons"], json!([{"kind": "run_ended", "status": "canceled"}]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_gate_that_cannot_be_run_is_said_at_once_or_ends_what_is_running() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    let mut item = scene.item(json!({"pass_rate": 1.0}));
    item["data_source"]["source"]["content"] = json!([{"item": {"word": 7}}]);
    scene.demand(&[item], 600).await;
    let open = scene.ended(&running).await;
    assert_eq!((&open["state"], &open["reason"]), (&json!("inconclusive"), &json!("not_measurable")));
    assert!(text(&open["message"]).contains(&scene.eval), "{open:#}");
    let body = json!({"version": 2, "expected_live": 1});
    let refused = scene.bed.post(&scene.org, &scene.path(), body).await;
    assert_eq!((refused.0, &refused.1["error"]["param"]), (422, &json!("gate")), "{}", refused.1);
    let list = scene.bed.get(&scene.org, &scene.path()).await.1;
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "nothing half-made");
    scene.all_stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_long_poll_is_woken_by_the_end_and_says_running_when_its_time_is_up() {
    let scene = Scene::start().await;
    let running = scene.publish(2, Some(1)).await;
    let path = format!("{}/{}", scene.path(), text(&running["id"]));
    assert_eq!(scene.bed.get(&scene.org, &format!("{path}?wait_s=1")).await.1["state"], "running");
    assert_eq!(
        code(&scene.bed.get(&scene.org, &format!("{path}?wait_s=soon")).await),
        (400, "invalid_parameter")
    );
    let (waited, ()) = tokio::join!(scene.ended(&running), scene.finish(&running, 0, (10, 0, 0)));
    assert_eq!(waited["state"], "live");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_repeated_request_gets_the_first_answer_while_the_run_goes_on() {
    let scene = Scene::start().await;
    let send = || {
        let request = scene.bed.request(Method::POST, &scene.path()).bearer_auth(&scene.org.admin);
        read(request.header("idempotency-key", "k").json(&json!({"version": 2, "expected_live": 1})))
    };
    let first = send().await;
    assert_eq!((first.0, &first.1["state"]), (201, &json!("running")));
    assert_eq!(send().await, first);
    assert_eq!(scene.runs().await, 1);
}
