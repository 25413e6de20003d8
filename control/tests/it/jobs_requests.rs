//! What callers hand in: issue 3, line 11. Whatever is wrong is a clear 4xx with its place, and nothing is half-made.

use crate::{
    bed::{Bed, Org, code, read, text},
    bodies::all_at_once,
    jobs_hosts::{Host, job},
};
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

fn with(field: &str, value: Value) -> Value {
    let mut job = job();
    job[field] = value;
    job
}

fn files(files: Value) -> Value {
    json!({"language": "bash", "files": files})
}

fn limits(name: &str, value: Value) -> Value {
    with("limits", json!({name: value}))
}

/// A body and the field that it is refused for.
fn bad_jobs() -> Vec<(Value, &'static str)> {
    let a = json!({"path": "a", "content": ""});
    let mut cases = vec![
        (json!({}), "source"),
        (json!({"language": "bash"}), "source"),
        (json!({"source": "x"}), "language"),
        (json!({"language": "cobol", "source": "x"}), "language"),
        (json!({"language": "Python", "source": "x"}), "language"),
        (json!({"files": [{"path": "a.rs", "content": "fn main() {}"}]}), "language"),
        (json!({"language": "bash", "source": "x", "files": [a]}), "source"),
        (with("source", json!(1)), "source"),
        (with("source", json!("a\0")), "source"),
        (files(json!([])), "files"),
        (files(json!([a, a])), "files"),
        (files(json!([a, {"path": "a/b", "content": ""}])), "files[0].path"),
        (files(json!([a, {"path": "b", "content": ""}])), "entry"),
        (files(json!([{"path": "a"}])), "files[0].content"),
        (files(json!([{"path": "a", "content": "", "content_base64": ""}])), "files[0].content"),
        (files(json!([{"path": "a", "content_base64": "x"}])), "files[0].content_base64"),
        (files(json!([{"path": "a", "content": "", "mode": 7}])), "files[0].mode"),
        (files(json!(vec![json!({"path": "a", "content": ""}); 257])), "files"),
        (with("entry", json!("../x")), "entry"),
        (json!({"files": [a], "language": "bash", "entry": "b"}), "entry"),
        (with("image", json!("")), "image"),
        (with("image", json!("../host")), "image"),
        (with("image", json!("x".repeat(33))), "image"),
        (with("argv", json!(vec![""; 257])), "argv"),
        (with("argv", json!(["", "x".repeat(65_537)])), "argv[1]"),
        (with("argv", json!(vec!["x".repeat(60_000); 20])), "argv"),
        (with("argv", json!([1])), "argv[0]"),
        (with("env", json!({"A=B": ""})), "env"),
        (with("env", json!({"": ""})), "env"),
        (with("env", json!({"1A": ""})), "env"),
        (with("env", json!({"A": 1})), "env.A"),
        (json!({"language": "bash", "source": "x", "stdin": "", "stdin_base64": ""}), "stdin"),
        (with("stdin_base64", json!("!")), "stdin_base64"),
        (with("priority", json!("urgent")), "priority"),
        (with("priority", json!(1)), "priority"),
        (with("retries", json!(11)), "retries"),
        (with("retries", json!(-1)), "retries"),
        (with("run_at", json!("tomorrow")), "run_at"),
        (with("run_at", json!("2999-01-01T00:00:00Z")), "run_at"),
        (with("labels", json!(vec!["x"; 17])), "labels"),
        (with("labels", json!(["ok", "no space"])), "labels[1]"),
        (with("labels", json!([""])), "labels[0]"),
        (with("artefacts", json!(["a", "a"])), "artefacts[1]"),
        (with("artefacts", json!(["/etc/passwd"])), "artefacts[0]"),
        (with("artefacts", json!(vec!["x"; 257])), "artefacts"),
        (with("name", json!("")), "name"),
        (with("grader", json!(true)), "grader"),
        (with("owner", json!("grade")), "owner"),
        (with("id", json!("job_1")), "id"),
        (with("limits", json!({"gpus": 1})), "limits.gpus"),
        (with("limits", json!([])), "limits"),
    ];
    for path in ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a\\b", "a\nb", "\u{7f}"] {
        cases.push((files(json!([{"path": path, "content": ""}])), "files[0].path"));
    }
    cases.push((files(json!([{"path": "x".repeat(256), "content": ""}])), "files[0].path"));
    cases.extend(bad_limits());
    cases
}

/// Limits that nobody gets: too little, too much, and what is no number.
fn bad_limits() -> Vec<(Value, &'static str)> {
    let mut cases = Vec::new();
    let bounds: [(&str, &'static str, u64, u64); 6] = [
        ("wall_ms", "limits.wall_ms", 0, 3_600_001),
        ("cpu_ms", "limits.cpu_ms", 0, 57_600_001),
        ("memory_bytes", "limits.memory_bytes", 16 * 1024 * 1024 - 1, 17_179_869_185),
        ("pids", "limits.pids", 0, 1_025),
        ("disk_bytes", "limits.disk_bytes", 4_294_967_297, u64::MAX),
        ("output_bytes", "limits.output_bytes", 67_108_865, u64::MAX),
    ];
    for (name, path, low, high) in bounds {
        for value in [json!(low), json!(high), json!(-1), json!(1.5), json!("1"), json!(1e300), json!(true)] {
            cases.push((limits(name, value), path));
        }
    }
    cases
}

async fn count(bed: &Bed) -> i64 {
    let mut db = bed.database.superuser().await;
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM jobs").fetch_one(&mut db).await.unwrap();
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_that_cannot_be_is_422_with_its_place_alone_and_in_a_batch_and_nothing_is_made() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    for (body, param) in bad_jobs() {
        let shown: String = body.to_string().chars().take(120).collect();
        let reply = bed.post(&org, "/v1/jobs", body.clone()).await;
        assert_eq!(code(&reply), (422, "unprocessable"), "{shown}: {}", reply.1);
        assert_eq!(reply.1["error"]["param"], param, "{shown}: {}", reply.1);
        let reply = bed.post(&org, "/v1/jobs", json!({"jobs": [job(), body]})).await;
        // What only the database refuses has no number.
        let numbered = format!("jobs[1].{param}");
        assert!(reply.1["error"]["param"] == numbered || param == "run_at", "{shown}: {}", reply.1);
        assert_eq!(reply.0, 422, "{shown}");
    }
    assert_eq!(count(&bed).await, 0);
    let unknown = bed.post(&org, "/v1/jobs", json!({"language": "cobol", "source": ""})).await.1;
    for language in ["python", "javascript", "bash"] {
        assert!(text(&unknown["error"]["message"]).contains(language), "{unknown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn good_jobs_at_the_bounds_are_taken_and_languages_are_told_from_names_and_shebangs() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let cases = [
        (json!({"source": "#!/usr/bin/env python3\n"}), "python", "main.py"),
        (json!({"source": "x", "entry": "a.mjs"}), "javascript", "a.mjs"),
        (json!({"source": "x", "language": "javascript"}), "javascript", "main.js"),
        (json!({"files": [{"path": "run", "content": "#!/bin/sh\n"}]}), "bash", "run"),
        (
            json!({"files": [{"path": "a.py", "content": ""}, {"path": "b", "content_base64": "AP8="}], "entry": "a.py"}),
            "python",
            "a.py",
        ),
        (with("labels", json!(vec!["x".repeat(64); 16])), "bash", "main.sh"),
        (with("run_at", json!("1999-01-01T00:00:00Z")), "bash", "main.sh"),
        (with("retries", json!(10)), "bash", "main.sh"),
        (
            with("limits", json!({"wall_ms": 3_600_000, "output_bytes": 0, "disk_bytes": 0, "pids": 1024})),
            "bash",
            "main.sh",
        ),
        (with("name", json!("'; DROP TABLE jobs; -- \u{202e}")), "bash", "main.sh"),
    ];
    for (body, language, entry) in cases {
        let made = bed.make(&org, "/v1/jobs", body.clone()).await;
        assert_eq!((&made["language"], &made["entry"]), (&json!(language), &json!(entry)), "{body}");
        let defaults = &made["limits"];
        assert!(defaults["cpu_ms"].as_u64().unwrap() >= 30_000.min(defaults["wall_ms"].as_u64().unwrap()));
    }
    let exact = "x".repeat(8 * 1024 * 1024);
    assert_eq!(bed.post(&org, "/v1/jobs", with("source", json!(exact))).await.0, 201);
    let beyond = bed.post(&org, "/v1/jobs", with("source", json!(format!("{exact}x")))).await;
    assert_eq!(code(&beyond), (413, "body_too_large"));
}

/// Resident memory of this process, bytes.
fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_source_of_a_gigabyte_is_413_and_memory_stays_flat() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let before = memory_bytes();
    let piece = axum::body::Bytes::from(vec![b'x'; 1024 * 1024]);
    let head =
        stream::once(async { Ok::<_, std::io::Error>(axum::body::Bytes::from_static(b"{\"source\":\"")) });
    let body = head.chain(stream::repeat(piece).take(1024).map(Ok));
    let request = bed.request(Method::POST, "/v1/jobs").bearer_auth(&org.admin);
    // Control answers and hangs up long before the end; the client may see either.
    if let Ok(answer) = request.body(reqwest::Body::wrap_stream(body)).send().await {
        assert_eq!(answer.status().as_u16(), 413);
    }
    let grown = memory_bytes().saturating_sub(before);
    assert!(grown < 200 * 1024 * 1024, "grown by {grown} bytes");
    assert_eq!(bed.post(&org, "/v1/jobs", job()).await.0, 201, "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_is_made_as_a_whole_or_not_at_all() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    for jobs in [json!([]), json!(vec![job(); 1_001])] {
        let reply = bed.post(&org, "/v1/jobs", json!({"jobs": jobs})).await;
        assert_eq!((reply.0, &reply.1["error"]["param"]), (422, &json!("jobs")));
    }
    // The last one is refused by the database alone, when 999 are in.
    let mut jobs = vec![job(); 1_000];
    jobs[999]["run_at"] = json!("2999-01-01T00:00:00Z");
    assert_eq!(bed.post(&org, "/v1/jobs", json!({"jobs": jobs})).await.0, 422);
    assert_eq!(count(&bed).await, 0);
    let mixed = bed.post(&org, "/v1/jobs", json!({"jobs": [job()], "source": "x"})).await;
    assert_eq!((mixed.0, &mixed.1["error"]["param"]), (422, &json!("source")));
    jobs[999] = job();
    let (status, made) = bed.post(&org, "/v1/jobs", json!({"jobs": jobs})).await;
    assert_eq!((status, made["data"].as_array().unwrap().len(), count(&bed).await), (201, 1_000, 1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c09_a_repeated_creation_makes_no_second_job() {
    let bed = Bed::start().await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let send = |org: &Org, body: &Value| {
        read(
            bed.request(Method::POST, "/v1/jobs")
                .bearer_auth(&org.admin)
                .header("idempotency-key", "k")
                .json(body),
        )
    };
    let replies = all_at_once((0..10).map(|_| send(&org, &job()))).await;
    assert!(replies.iter().all(|reply| reply.0 == 201 && *reply == replies[0]), "{replies:?}");
    assert_eq!(count(&bed).await, 1);
    assert_eq!(code(&send(&org, &with("retries", json!(1))).await), (409, "idempotency_mismatch"));
    assert_eq!(code(&send(&org, &json!({"jobs": [job()]})).await), (409, "idempotency_mismatch"));
    assert_eq!(send(&other, &job()).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn run_at_holds_a_job_back_until_its_time_by_the_databases_clock() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let soon = chrono::DateTime::from_timestamp_millis(crate::edge::now_ms() as i64 + 3_000).unwrap();
    let later = bed.job(&org, with("run_at", json!(soon))).await;
    let now = bed.job(&org, job()).await;
    assert_eq!(host.claim(8, 0).await.iter().map(|job| text(&job["job"])).collect::<Vec<_>>(), [now]);
    let claimed = host.claim_one().await;
    assert_eq!(claimed["job"], later);
    assert!(crate::edge::now_ms() as i64 >= soon.timestamp_millis());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_runners_say_wrongly_is_422_or_superseded() {
    let bed = Bed::start().await;
    let host = Host::new(&bed).await;
    let att = json!({"job": format!("job_{:032x}", 7), "attempt": format!("att_{:032x}", 7)});
    let report = json!({"ending": {"how": "exited", "code": 0}});
    let cases = [
        ("claim", json!({}), 422),
        ("claim", json!({"free": {"sandbox": -1, "sample": 0}}), 422),
        ("renew", json!({"held": [{"job": "x", "attempt": "y"}]}), 422),
        ("output", json!({"held": att, "first": -1, "chunks": []}), 422),
        ("output", json!({"held": att, "first": 0, "chunks": [{"stream": "stdin", "data": ""}]}), 422),
        ("output", json!({"held": att, "first": 0, "chunks": []}), 409),
        ("finish", json!({"held": att, "report": {"ending": {"how": "vanished"}}}), 422),
        ("finish", json!({"held": att, "report": report}), 409),
    ];
    for (verb, body, status) in cases {
        let reply = host.post(verb, &body).await;
        assert_eq!(reply.0, status, "{verb} {body}: {}", reply.1);
        assert!(status != 409 || code(&reply).1 == "attempt_superseded");
    }
    assert_eq!(host.renew(&[&att]).await, std::slice::from_ref(&att));
    bed.job(&bed.org("a").await, job()).await;
    let claimed = host.claim_one().await;
    let chunks = vec![json!({"stream": "stdout", "data": ""}); 257];
    assert_eq!(host.output(&claimed, 0, &chunks).await.0, 422);
    assert_eq!(host.output(&claimed, 0, &chunks[..256]).await.0, 204);
    for (field, value) in [
        ("labels", json!(["a b"])),
        ("images", json!(["../x"])),
        ("name", json!("")),
        ("slots", json!({"sandbox": 99_999, "sample": 0})),
    ] {
        let mut body = json!({"name": "h", "labels": [], "slots": {"sandbox": 1, "sample": 1}, "version": "1", "engine": "e", "weak": false, "images": []});
        body[field] = value;
        let reply =
            read(bed.request(Method::POST, "/runner/v1/runners").bearer_auth(&host.token).json(&body)).await;
        assert_eq!(reply.0, 422, "{field}: {}", reply.1);
    }
}
