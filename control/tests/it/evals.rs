//! The Evals API as OpenAI's SDKs see it: shapes, lists, a run from its data to its verdicts.

use crate::{
    bed::{code, text},
    evals_scene::{
        Scene, answered, check, completions, config, content, counts, graded, item, judge, model, python,
        said,
    },
    jobs_hosts::Host,
};
use serde_json::{Value, json};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_eval_is_made_read_changed_listed_and_deleted() {
    let scene = Scene::start().await;
    let body = json!({"name": "first", "metadata": {"a": "b"}, "data_source_config": config(), "testing_criteria": [check(), judge()]});
    let made = scene.bed.make(&scene.org, "/v1/evals", body.clone()).await;
    assert_eq!(
        keys(&made),
        ["created_at", "data_source_config", "id", "metadata", "name", "object", "testing_criteria"]
    );
    assert_eq!((&made["object"], &made["testing_criteria"][0]), (&json!("eval"), &check()));
    let schema = &made["data_source_config"]["schema"];
    assert_eq!(schema["properties"]["item"], config()["item_schema"]);
    assert_eq!(schema["required"], json!(["item", "sample"]));
    let path = format!("/v1/evals/{}", text(&made["id"]));
    assert_eq!(scene.get(&path).await, made);
    let changed = scene.bed.post(&scene.org, &path, json!({"name": "second"})).await.1;
    assert_eq!((&changed["name"], &changed["metadata"]), (&json!("second"), &json!({"a": "b"})));
    let changed = scene.bed.post(&scene.org, &path, json!({"metadata": null})).await.1;
    assert_eq!((&changed["name"], &changed["metadata"]), (&json!("second"), &Value::Null));
    let mut ids = vec![text(&made["id"])];
    for _ in 0..2 {
        ids.push(text(&scene.bed.make(&scene.org, "/v1/evals", body.clone()).await["id"]));
    }
    let page = scene.get("/v1/evals?limit=2").await;
    assert_eq!(
        (&page["object"], &page["first_id"], &page["last_id"], &page["has_more"]),
        (&json!("list"), &json!(ids[0]), &json!(ids[1]), &json!(true))
    );
    let page = scene.get(&format!("/v1/evals?after={}", ids[1])).await;
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&json!(ids[2]), &json!(false)));
    let by_update = scene.get("/v1/evals?order=desc&order_by=updated_at&limit=1").await;
    assert_eq!(by_update["data"][0]["id"], json!(ids[2]));
    let next = scene.get(&format!("/v1/evals?order=desc&order_by=updated_at&after={}", ids[2])).await;
    assert_eq!(next["data"].as_array().unwrap().len(), 2);
    let gone = scene.bed.call("DELETE", &scene.org.admin, &path, None).await;
    assert_eq!(gone, (200, json!({"object": "eval.deleted", "deleted": true, "eval_id": ids[0]})));
    assert_eq!(scene.bed.get(&scene.org, &path).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_over_samples_that_came_with_the_data_needs_no_runner() {
    let scene = Scene::start().await;
    let eval = scene.eval(&[check()]).await;
    let line = |output: &str| json!({"item": {"q": "q", "a": "right"}, "sample": {"output_text": output}});
    let mut odd = line("x");
    odd["sample"] = json!({});
    let run = scene
        .run(&eval, json!({"type": "jsonl", "source": content(&[line("right"), line("wrong"), odd])}))
        .await;
    let ended = scene.ended(&eval, &run).await;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("completed"), (3, 1, 1, 1)));
    assert_eq!(
        (&ended["object"], &ended["model"], &ended["error"]),
        (&json!("eval.run"), &json!(""), &Value::Null)
    );
    let result = &ended["per_testing_criteria_results"][0];
    assert_eq!(
        (
            &result["testing_criteria"],
            &result["passed"],
            &result["failed"],
            &result["errored"],
            &result["mean_score"]
        ),
        (&json!("exact"), &json!(1), &json!(1), &json!(1), &json!(0.5))
    );
    let items = scene.items(&eval, &run, "").await;
    let statuses: Vec<&Value> = items.iter().map(|item| &item["status"]).collect();
    assert_eq!(statuses, [&json!("pass"), &json!("fail"), &json!("error")]);
    assert_eq!(items[1]["results"][0]["score"], 0.0);
    assert_eq!(items[2]["results"][0]["error"]["user_fault"], true);
    for name in [
        "error",
        "finish_reason",
        "input",
        "max_completion_tokens",
        "model",
        "output",
        "seed",
        "temperature",
        "top_p",
        "usage",
    ] {
        assert!(items[0]["sample"].get(name).is_some(), "{name}");
    }
    assert_eq!(scene.items(&eval, &run, "&status=fail").await, items[1..2]);
    assert_eq!(scene.items(&eval, &run, &format!("&after={}", text(&items[1]["id"]))).await, items[2..]);
    let one = scene.get(&format!("/v1/evals/{eval}/runs/{run}/output_items/{}", text(&items[0]["id"]))).await;
    assert_eq!(one, items[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_item_is_sampled_then_graded_by_code_a_judge_and_at_once() {
    let scene = Scene::start().await;
    let eval = scene.eval(&[check(), python(), judge()]).await;
    let run = scene.run(&eval, completions(content(&[item(0), item(1)]))).await;
    let host = Host::new(&scene.bed).await;
    let sample = scene.claim(&host, "sample").await;
    assert_eq!(
        sample["work"]["spec"]["body"],
        json!({"model": "haiku", "input": [{"role": "user", "content": "q0"}], "temperature": 0.5})
    );
    assert!(text(&sample["work"]["key"]).starts_with("ag_"), "the run's key goes with it");
    assert_eq!(host.finish(&sample, said("right")).await.0, 204);
    let ended = scene
        .play(&host, &eval, &run, |job| match model(job) {
            Some("haiku") => said("wrong"),
            Some("judge") => said(r#"{"steps": [], "result": 7}"#),
            _ => graded(&json!({"score": 0.5})),
        })
        .await;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("completed"), (2, 1, 1, 0)), "{ended:#}");
    let usage = |model: &str, count: i64| {
        json!({"model_name": model, "invocation_count": count, "prompt_tokens": 3 * count,
        "completion_tokens": 2 * count, "cached_tokens": 0, "total_tokens": 5 * count})
    };
    assert_eq!(ended["per_model_usage"], json!([usage("haiku", 2), usage("judge", 2)]));
    let means: Vec<f64> = ended["per_testing_criteria_results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["mean_score"].as_f64().unwrap())
        .collect();
    assert_eq!(means, [0.5, 0.5, 7.0]);
    assert!(text(&ended["alphagate"]["notes"][0]).contains("seed"), "what is not sent is said");
    assert_eq!(ended["alphagate"]["progress"], json!({"total": 2, "started": 2, "ended": 2}));
    let items = scene.items(&eval, &run, "").await;
    let first = &items[0];
    assert_eq!((&first["status"], &first["sample"]["output_text"]), (&json!("pass"), &json!("right")));
    assert_eq!(first["sample"]["input"], json!([{"role": "user", "content": "q0"}]));
    let names: Vec<&str> =
        first["results"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["exact", "code", "judge"]);
    let code = &first["results"][1];
    assert_eq!((&code["sandbox"]["engine"], &code["sandbox"]["kernel"]), (&json!("runsc"), &json!("gVisor")));
    assert!(text(&code["job"]).starts_with("job_"));
    assert_eq!(first["results"][2]["sample"]["model"], "judge");
    let gone = scene.bed.edge.value(&format!("v1/key/key_{}", run.strip_prefix("evalrun_").unwrap()));
    assert!(matches!(gone, alphagate_contract::record::RecordValue::Gone), "the key ends with the run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn our_failures_are_never_scored_and_the_users_are_told_apart() {
    let scene = Scene::start().await;
    let eval = scene.eval(&[check(), python()]).await;
    let run = scene.run(&eval, completions(content(&[item(0), item(1), item(2), item(3)]))).await;
    let host = Host::new(&scene.bed).await;
    let refused = answered(
        404,
        &json!({"error": {"code": "model_not_found", "message": "There is no such endpoint."}}),
    );
    let not_run =
        json!({"ending": {"how": "not_run", "code": "isolation_unavailable", "message": "no gVisor"}});
    let ended = scene
        .play(&host, &eval, &run, |job| {
            if let Some(asked) = job["work"]["spec"]["body"]["input"][0]["content"].as_str() {
                return if asked == "q0" {
                    refused.clone()
                } else {
                    said(if asked == "q3" { "right" } else { asked })
                };
            }
            // What the grader sees tells the items apart.
            let files = job["work"]["files"].as_array().unwrap();
            let item =
                files.iter().find(|file| file["path"] == "item.json").unwrap()["content"].as_str().unwrap();
            match item {
                item if item == encoded(1) => not_run.clone(),
                item if item == encoded(2) => {
                    graded(&json!({"error": {"message": "boom", "traceback": "line 1"}}))
                }
                _ => graded(&json!({"score": 1})),
            }
        })
        .await;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("completed"), (4, 1, 0, 3)), "{ended:#}");
    assert_eq!(ended["alphagate"]["infrastructure"], 1);
    let items = scene.items(&eval, &run, "&status=error").await;
    assert_eq!(items[0]["sample"]["error"]["code"], "model_not_found");
    let errors: Vec<(&Value, &Value)> = items[1..]
        .iter()
        .map(|item| (&item["results"][1]["error"]["code"], &item["results"][1]["error"]["user_fault"]))
        .collect();
    assert_eq!(
        errors,
        [
            (&json!("python_grader_server_error"), &json!(false)),
            (&json!("python_grader_runtime_error"), &json!(true))
        ]
    );
}

fn encoded(number: usize) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    BASE64_STANDARD.encode(item(number)["item"].to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn graders_are_validated_and_tried_out() {
    let scene = Scene::start().await;
    let path = "/v1/fine_tuning/alpha/graders";
    let valid = scene.bed.post(&scene.org, &format!("{path}/validate"), json!({"grader": check()})).await;
    assert_eq!(valid, (200, json!({"grader": check()})));
    let invalid = scene
        .bed
        .post(&scene.org, &format!("{path}/validate"), json!({"grader": {"type": "string_check"}}))
        .await;
    assert_eq!(
        (code(&invalid), &invalid.1["error"]["param"]),
        ((422, "unprocessable"), &json!("grader.name"))
    );
    let run = async |grader: Value| {
        let body = json!({"grader": grader, "item": {"a": "right"}, "model_sample": "right"});
        let (status, answer) = scene.bed.post(&scene.org, &format!("{path}/run"), body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let answer = run(check()).await;
    assert_eq!((&answer["reward"], &answer["metadata"]["type"]), (&json!(1.0), &json!("string_check")));
    assert_eq!(answer["metadata"]["errors"]["invalid_variable_error"], false);
    let mut missing = check();
    missing["reference"] = json!("{{item.nope}}");
    assert_eq!(run(missing).await["metadata"]["errors"]["invalid_variable_error"], true);
    let multi = json!({"type": "multi", "name": "m", "calculate_output": "(code + judge / 10) / 2",
        "graders": {"code": python(), "judge": judge()}});
    let host = Host::new(&scene.bed).await;
    let work = async {
        for kind in ["sandbox", "sample"] {
            let job = scene.claim(&host, kind).await;
            let told = if kind == "sample" {
                said(r#"{"steps": [], "result": 5}"#)
            } else {
                graded(&json!({"score": 1}))
            };
            assert_eq!(host.finish(&job, told).await.0, 204);
        }
    };
    let (answer, ()) = tokio::join!(run(multi), work);
    assert_eq!(
        (&answer["reward"], &answer["sub_rewards"]),
        (&json!(0.75), &json!({"code": 1.0, "judge": 5.0}))
    );
    assert_eq!(answer["metadata"]["token_usage"], 5);
}
