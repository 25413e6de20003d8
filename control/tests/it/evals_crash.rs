//! Runs that are interrupted: by crashes, by repeated and late reports, by people; and large ones.

use crate::{
    bed::{code, text},
    evals_scene::{Scene, check, completions, content, counts, graded, item, model, python, said},
    jobs_hosts::Host,
    process::Process,
};
use serde_json::{Value, json};
use std::fmt::Write as _;

fn jsonl(items: usize) -> String {
    (0..items).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", item(number)).unwrap();
        text
    })
}

impl Scene {
    /// The program stops as it stands, and another one starts on the same database.
    async fn restart(&mut self) {
        self.bed.control.stop().await;
        self.bed.control = self.bed.replica(&[]).await;
    }
}

fn work(job: &Value) -> Value {
    if model(job).is_some() { said("right") } else { graded(&json!({"score": 1})) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_goes_on_after_a_restart_at_every_point_and_counts_each_item_once() {
    let mut scene = Scene::start().await;
    let eval = scene.eval(&[check(), python()]).await;
    let run = scene.run(&eval, completions(content(&(0..6).map(item).collect::<Vec<_>>()))).await;
    scene.restart().await;
    let token = scene.bed.runner_token().await;
    // After each of the first reports the program is another one; the report is then told again.
    for step in 0..8 {
        let host = Host::register(&scene.bed, &token, json!({})).await;
        let kind = if step % 2 == 0 { "sample" } else { "sandbox" };
        let job = scene.claim(&host, kind).await;
        assert_eq!(host.finish(&job, work(&job)).await.0, 204);
        scene.restart().await;
        let host = Host { url: scene.bed.control.url.clone(), ..host };
        assert_eq!(host.finish(&job, work(&job)).await.0, 204, "a repeated report is taken");
    }
    let host = Host::register(&scene.bed, &token, json!({})).await;
    let ended = scene.play(&host, &eval, &run, work).await;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("completed"), (6, 6, 0, 0)));
    assert_eq!(ended["per_model_usage"][0]["invocation_count"], 6);
    let items = scene.items(&eval, &run, "").await;
    let numbers: Vec<i64> = items.iter().map(|item| item["datasource_item_id"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn replicas_share_a_run_and_each_line_becomes_one_item() {
    let scene = Scene::start().await;
    let mut others = vec![scene.bed.replica(&[]).await, scene.bed.replica(&[]).await];
    let eval = scene.eval(&[check()]).await;
    let file = scene.upload(jsonl(150)).await.1;
    let run = scene.run(&eval, completions(json!({"type": "file_id", "id": file["id"]}))).await;
    let host = Host::new(&scene.bed).await;
    let ended = scene.play(&host, &eval, &run, |job| {
        let asked = job["work"]["spec"]["body"]["input"][0]["content"].as_str().unwrap();
        said(if asked.ends_with('7') { "wrong" } else { "right" })
    });
    let ended = ended.await;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("completed"), (150, 135, 15, 0)));
    let mut db = scene.bed.database.superuser().await;
    let (items, numbers): (i64, i64) =
        sqlx::query_as("SELECT count(*), count(DISTINCT number) FROM output_items")
            .fetch_one(&mut db)
            .await
            .unwrap();
    assert_eq!((items, numbers), (150, 150));
    for other in &mut others {
        other.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_canceled_run_stops_its_jobs_and_late_reports_change_nothing() {
    let scene = Scene::start().await;
    let eval = scene.eval(&[check()]).await;
    let file = scene.upload(jsonl(1200)).await.1;
    let source = json!({"type": "file_id", "id": file["id"]});
    let run = scene.run(&eval, completions(source)).await;
    let window = scene.until(&eval, &run, |run| run["alphagate"]["progress"]["started"] == 500).await;
    assert_eq!((&window["status"], counts(&window)), (&json!("in_progress"), (1200, 0, 0, 0)));
    let held = format!("/v1/files/{}", text(&file["id"]));
    let in_use = scene.bed.call("DELETE", &scene.org.admin, &held, None).await;
    assert_eq!(code(&in_use), (409, "conflict"));
    let host = Host::new(&scene.bed).await;
    let (done, late) = (scene.claim(&host, "sample").await, scene.claim(&host, "sample").await);
    assert_eq!(host.finish(&done, said("right")).await.0, 204);
    let path = format!("/v1/evals/{eval}/runs/{run}");
    for path in [format!("{path}/cancel"), path.clone()] {
        let (status, canceled) = scene.bed.call("POST", &scene.org.admin, &path, None).await;
        assert_eq!(
            (status, &canceled["status"], counts(&canceled)),
            (200, &json!("canceled"), (1200, 1, 0, 0))
        );
    }
    let mut db = scene.bed.database.superuser().await;
    let (queued,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM jobs WHERE state = 'queued'").fetch_one(&mut db).await.unwrap();
    assert_eq!(queued, 0);
    assert_eq!(host.finish(&late, said("right")).await.0, 204);
    assert_eq!(counts(&scene.now(&eval, &run).await), (1200, 1, 0, 0));
    assert_eq!(
        scene.get(&format!("/v1/evals/{eval}/runs?status=canceled")).await["data"][0]["id"],
        json!(run)
    );
    assert_eq!(scene.get(&format!("/v1/evals/{eval}/runs?status=queued")).await["data"], json!([]));
    let gone = scene.bed.call("DELETE", &scene.org.admin, &path, None).await;
    assert_eq!(gone, (200, json!({"object": "eval.run.deleted", "deleted": true, "run_id": run})));
    assert_eq!(scene.bed.call("DELETE", &scene.org.admin, &held, None).await.0, 200);
    let (left,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM output_items").fetch_one(&mut db).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_eval_is_deleted_with_a_run_under_way() {
    let scene = Scene::start().await;
    let eval = scene.eval(&[check()]).await;
    let run = scene.run(&eval, completions(content(&[item(0), item(1)]))).await;
    scene.until(&eval, &run, |run| run["alphagate"]["progress"]["started"] == 2).await;
    let host = Host::new(&scene.bed).await;
    let late = scene.claim(&host, "sample").await;
    assert_eq!(scene.bed.call("DELETE", &scene.org.admin, &format!("/v1/evals/{eval}"), None).await.0, 200);
    assert_eq!(host.finish(&late, said("right")).await.0, 204);
    let mut db = scene.bed.database.superuser().await;
    for table in ["evals", "eval_runs", "eval_run_feeds", "output_items", "files"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let (left,): (i64,) = sqlx::query_as(sql).fetch_one(&mut db).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

/// Most memory that a process ever used, bytes.
fn peak(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

impl Scene {
    /// From now on another process is control, and this one is not.
    async fn process(&mut self) -> Process {
        self.bed.control.stop().await;
        let process = Process::start(&self.bed.secrets, &self.bed.database, &self.bed.edge, &[]).await;
        self.bed.control.url.clone_from(&process.url);
        process
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_thousand_items_stay_flat_in_memory_and_survive_a_kill() {
    let mut scene = Scene::start().await;
    let process = scene.process().await;
    let eval = scene.eval(&[check()]).await;
    let padding = "x".repeat(10_000);
    let mut file = String::new();
    for number in 0..10_000 {
        let output = if number % 10 == 0 { "wrong" } else { "right" };
        let line = json!({"item": {"q": padding, "a": "right"}, "sample": {"output_text": output}});
        writeln!(file, "{line}").unwrap();
    }
    let (size, before) = (u64::try_from(file.len()).unwrap(), peak(&process));
    let (status, file) = scene.upload(file).await;
    assert_eq!(status, 200, "{file}");
    let source = json!({"type": "jsonl", "source": {"type": "file_id", "id": file["id"]}});
    let run = scene.run(&eval, source).await;
    scene.until(&eval, &run, |run| run["alphagate"]["progress"]["ended"].as_i64() > Some(1_000)).await;
    let most = peak(&process) - before;
    assert!(most < size / 2, "{most} bytes more for a file of {size}");
    process.signal("-KILL");
    let process = scene.process().await;
    let (before, ended) = (peak(&process), scene.ended(&eval, &run).await);
    let most = peak(&process) - before;
    assert!(most < size / 2, "{most} bytes more for a file of {size}");
    assert_eq!((&ended["status"], counts(&ended)), (&json!("completed"), (10_000, 9_000, 1_000, 0)));
}
