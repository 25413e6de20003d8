//! Bad input: refused with the field, and nothing half-made.

use crate::{
    bed::{code, read, text},
    evals_scene::{Evals, Scene, check, completions, config, content, item, python, upload},
};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn evals_that_cannot_be_are_refused_with_the_field() {
    let scene = Scene::start().await;
    let eval =
        |config: Value, criteria: Value| json!({"data_source_config": config, "testing_criteria": criteria});
    let mut schema = config();
    schema["item_schema"] = json!({"type": "nonsense"});
    let mut remote = config();
    remote["item_schema"] = json!({"$ref": "http://127.0.0.1:9/x"});
    let mut extra = config();
    extra["more"] = json!(1);
    let mut unknown = check();
    unknown["reference"] = json!("{{item.nope}}");
    let named =
        |name: &str| json!({"name": name, "data_source_config": config(), "testing_criteria": [check()]});
    let mut metadata = named("x");
    metadata["metadata"] = json!({"a": 1});
    let long = "x".repeat(257_000);
    let table = [
        (json!({}), 422, "data_source_config"),
        (eval(json!({"type": "logs"}), json!([check()])), 400, "data_source_config.type"),
        (eval(json!({"type": "stored_completions"}), json!([check()])), 400, "data_source_config.type"),
        (eval(json!({"type": "x"}), json!([check()])), 422, "data_source_config.type"),
        (eval(schema, json!([check()])), 422, "data_source_config.item_schema"),
        (eval(remote, json!([check()])), 422, "data_source_config.item_schema"),
        (eval(extra, json!([check()])), 422, "data_source_config.more"),
        (eval(config(), json!([])), 422, "testing_criteria"),
        (eval(config(), json!([{}])), 422, "testing_criteria[0].type"),
        (eval(config(), json!([unknown])), 422, "testing_criteria[0].reference"),
        (eval(config(), json!([check(), check()])), 422, "testing_criteria[1].name"),
        (
            eval(config(), json!([{"type": "python", "name": "p", "source": format!("grade{long}")}])),
            422,
            "testing_criteria[0].source",
        ),
        (named(""), 422, "name"),
        (metadata, 422, "metadata"),
    ];
    for (body, status, param) in table {
        let reply = scene.bed.post(&scene.org, "/v1/evals", body.clone()).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (status, &json!(param)), "{}", reply.1);
    }
    assert_eq!(scene.get("/v1/evals").await["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn runs_that_cannot_be_are_refused_with_the_field() {
    let scene = Scene::start().await;
    let eval = scene.eval(&[check(), python()]).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut source = completions(content(&[item(0)]));
        change(&mut source);
        json!({"data_source": source})
    };
    let table = [
        (json!({}), 422, "data_source"),
        (json!({"data_source": {"type": "x"}}), 422, "data_source.type"),
        (with(&|s| s["more"] = json!(1)), 422, "data_source.more"),
        (with(&|s| s["model"] = json!("nobody")), 422, "data_source.model"),
        (with(&|s| drop(s.as_object_mut().unwrap().remove("model"))), 422, "data_source.model"),
        (
            with(&|s| drop(s.as_object_mut().unwrap().remove("input_messages"))),
            422,
            "data_source.input_messages",
        ),
        (with(&|s| s["source"] = json!({"type": "stored_completions"})), 400, "data_source.source.type"),
        (with(&|s| s["source"] = json!({"type": "responses"})), 400, "data_source.source.type"),
        (with(&|s| s["source"] = json!({"type": "file_id", "id": "file-abc"})), 422, "data_source.source.id"),
        (
            with(&|s| s["sampling_params"] = json!({"logprobs": 1})),
            400,
            "data_source.sampling_params.logprobs",
        ),
        (
            with(&|s| s["input_messages"]["template"][0]["content"] = json!("{{item.}}")),
            422,
            "data_source.input_messages.template[0].content",
        ),
        (
            with(&|s| s["input_messages"]["template"][0]["content"] = json!("{{sample.output_text}}")),
            422,
            "data_source.input_messages.template[0].content",
        ),
        (
            with(&|s| s["input_messages"] = json!({"type": "item_reference", "item_reference": "x"})),
            422,
            "data_source.input_messages.item_reference",
        ),
    ];
    refused(&scene, &eval, &table).await;
}

/// None of these makes a run or a job.
async fn refused(scene: &Scene, eval: &str, table: &[(Value, u16, &str)]) {
    let path = format!("/v1/evals/{eval}/runs");
    for (body, status, param) in table {
        let reply = scene.bed.post(&scene.org, &path, body.clone()).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (*status, &json!(param)), "{}", reply.1);
    }
    assert_eq!(scene.get(&path).await["data"], json!([]));
    assert_eq!(scene.get("/v1/jobs").await["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn data_that_cannot_be_are_refused_with_the_line() {
    let scene = Scene::start().await;
    let eval = scene.eval(&[check()]).await;
    let with = |source: Value| json!({"data_source": completions(source)});
    let lines = |lines: Value| with(content(lines.as_array().unwrap()));
    let data = "{\"item\":{\"q\":\"x\",\"a\":\"y\"}}\n{\"item\":{\"q\":1,\"a\":\"y\"}}\n";
    let file = scene.upload(data).await.1;
    let by_file = with(json!({"type": "file_id", "id": file["id"]}));
    let told = scene.bed.post(&scene.org, &format!("/v1/evals/{eval}/runs"), by_file.clone()).await.1;
    assert!(text(&told["error"]["message"]).starts_with("line 2: item.q"), "{told}");
    let table = [
        (by_file, 422, "data_source.source.id"),
        (lines(json!([])), 422, "data_source.source.content"),
        (lines(json!([item(0), {"item": {"q": 1, "a": "x"}}])), 422, "data_source.source.content[1].item.q"),
        (lines(json!([item(0), {"items": {}}])), 422, "data_source.source.content[1]"),
        (
            lines(json!([{"item": {"q": "", "a": ""}, "sample": {}}])),
            422,
            "data_source.source.content[0].sample",
        ),
    ];
    refused(&scene, &eval, &table).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn files_are_looked_at_line_by_line_and_come_back_to_the_byte() {
    let scene = Scene::start().await;
    let data =
        b"{\"item\":{\"q\":\"\xc3\xa9\",\"a\":\"x\"}}\r\n{\"item\": {\"q\":\"2\",\"a\":\"y\"}}\n\n".to_vec();
    let (status, file) = scene.upload(data.clone()).await;
    assert_eq!(
        (status, &file["object"], &file["filename"], &file["purpose"], &file["status"], &file["bytes"]),
        (200, &json!("file"), &json!("data.jsonl"), &json!("evals"), &json!("processed"), &json!(data.len())),
        "{file}"
    );
    let path = format!("/v1/files/{}", text(&file["id"]));
    assert_eq!(scene.get(&path).await, file);
    assert_eq!(scene.get("/v1/files?purpose=evals").await["data"], json!([file]));
    assert_eq!(scene.get("/v1/files?purpose=batch").await["data"], json!([]));
    let request =
        scene.bed.request(reqwest::Method::GET, &format!("{path}/content")).bearer_auth(&scene.org.admin);
    assert_eq!(request.send().await.unwrap().bytes().await.unwrap(), data);
    for (data, why) in [
        (&b"{\"item\":{}}\nnope"[..], "line 2 cannot be read"),
        (b"", "has no lines"),
        (b"{\"question\":1}", "line 1 has the wrong form"),
        (b"\xef\xbb\xbf{\"item\":{}}", "line 1"),
    ] {
        let reply = scene.upload(data).await;
        assert_eq!(code(&reply), (422, "unprocessable"));
        assert!(text(&reply.1["error"]["message"]).contains(why), "{}", reply.1);
    }
    let other = upload(&scene.bed, &scene.org, "batch", b"{\"item\":{}}");
    assert_eq!(code(&read(other).await), (400, "unsupported_parameter"));
    assert_eq!(scene.bed.post(&scene.org, "/v1/files", json!({})).await.0, 400);
    assert_eq!(scene.get("/v1/files").await["data"].as_array().unwrap().len(), 1);
    let gone = scene.bed.call("DELETE", &scene.org.admin, &path, None).await;
    assert_eq!(gone, (200, json!({"id": file["id"], "object": "file", "deleted": true})));
    assert_eq!(scene.bed.get(&scene.org, &path).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_asked_for_twice_under_one_key_is_made_once() {
    let scene = Scene::start().await;
    let eval = scene.eval(&[check()]).await;
    let body = json!({"data_source": completions(content(&[item(0)]))});
    let send = async |body: &Value| {
        let request = scene.bed.request(reqwest::Method::POST, &format!("/v1/evals/{eval}/runs"));
        read(request.bearer_auth(&scene.org.admin).header("idempotency-key", "k").json(body)).await
    };
    let (first, second) = (send(&body).await, send(&body).await);
    assert_eq!((first.0, &first), (201, &second));
    let other = json!({"data_source": completions(content(&[item(1)]))});
    assert_eq!(code(&send(&other).await), (409, "idempotency_mismatch"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_foreign_file_or_run_is_missing_under_an_own_eval() {
    let scene = Scene::start().await;
    let (a, b) = (Evals::new(&scene.bed, &scene.org).await, scene.bed.org("b").await);
    let body = json!({"data_source_config": config(), "testing_criteria": [check()]});
    let eval = text(&scene.bed.make(&b, "/v1/evals", body).await["id"]);
    let runs = format!("/v1/evals/{eval}/runs");
    let stolen = json!({"data_source": {"type": "jsonl", "source": {"type": "file_id", "id": a.file}}});
    let reply = scene.bed.post(&b, &runs, stolen).await;
    assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("data_source.source.id")));
    for path in [format!("{runs}/{}", a.run), format!("{runs}/{}/output_items/{}", a.run, a.item)] {
        assert_eq!(scene.bed.get(&b, &path).await.0, 404);
    }
}
