//! A job's life as its caller sees it: made, listed, run, canceled, run again, deleted.

use crate::{
    bed::{Bed, code, read, text},
    bodies::all_at_once,
    jobs_hosts::{Host, chunk, failed, held, job, passed, report},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_job_is_queued_starts_runs_and_ends_with_everything_that_is_known_of_it() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let made = bed
        .make(&org, "/v1/jobs", json!({"name": "first", "files": [{"path": "d/x.py", "content": "print(1)"}],
            "argv": ["a b"], "stdin_base64": "AP8=", "env": {"X": "é"}, "limits": {"wall_ms": 1500, "pids": 7},
            "labels": ["gpu"], "artefacts": ["out.bin"], "retries": 2, "priority": "high"}))
        .await;
    let id = text(&made["id"]);
    assert_eq!(
        (&made["state"], &made["language"], &made["entry"], &made["outcome"], &made["attempts"]),
        (&json!("queued"), &json!("python"), &json!("d/x.py"), &Value::Null, &json!([]))
    );
    let host = Host::register(&bed, &bed.runner_token().await, json!({"labels": ["gpu", "big"]})).await;
    let claimed = host.claim_one().await;
    let work = &claimed["work"];
    assert_eq!(
        (&claimed["job"], &claimed["number"], &work["kind"]),
        (&json!(id), &json!(1), &json!("sandbox"))
    );
    assert_eq!(
        (&work["argv"], &work["stdin"], &work["env"]),
        (&json!(["a b"]), &json!("AP8="), &json!({"X": "é"}))
    );
    assert_eq!((&work["limits"]["wall_ms"], &work["limits"]["pids"]), (&json!(1500), &json!(7)));
    assert_eq!(work["files"], json!([{"path": "d/x.py", "content": "cHJpbnQoMSk="}]));
    assert_eq!(bed.job_now(&org, &id).await["state"], "starting");
    assert_eq!(host.output(&claimed, 0, &[]).await.0, 204);
    assert_eq!(bed.job_now(&org, &id).await["state"], "running");
    assert_eq!(
        host.output(&claimed, 0, &[chunk("stdout", "1€\n".as_bytes()), chunk("stderr", b"\xff")]).await.0,
        204
    );
    let isolation = json!({"engine": "runsc", "weak": false, "kernel": "gVisor", "image_digest": "host", "host_limits": true});
    let mut told = passed();
    told["limits_hit"] = json!(["pids"]);
    told["used"] = json!({"start_ms": 5, "wall_ms": 10, "cpu_ms": 3, "memory_peak_bytes": 1024});
    told["isolation"] = isolation.clone();
    told["artefacts"] = json!([{"path": "out.bin", "content": "AP8A"}]);
    for _ in 0..2 {
        assert_eq!(host.finish(&claimed, told.clone()).await.0, 204, "a repeated report is taken again");
    }
    let job = bed.job_now(&org, &id).await;
    assert_eq!((&job["state"], &job["outcome"]), (&json!("done"), &json!("passed")));
    assert_eq!(
        (&job["limits_hit"], &job["used"], &job["isolation"]),
        (&json!(["pids"]), &told["used"], &isolation)
    );
    assert_eq!(job["output"]["stdout"], json!({"bytes": 5, "preview": {"encoding": "utf8", "data": "1€\n"}}));
    assert_eq!(
        job["output"]["stderr"],
        json!({"bytes": 1, "preview": {"encoding": "base64", "data": "/w=="}})
    );
    assert_eq!(job["artefacts"], json!([{"path": "out.bin", "bytes": 3}]));
    let attempt = &job["attempts"][0];
    assert_eq!((&attempt["number"], &attempt["runner"]), (&json!(1), &json!(host.id)));
    assert_eq!(attempt["ending"], json!({"how": "exited", "code": 0}));
    let runners = bed.operator("GET", "/operator/v1/runners", None).await.1;
    assert_eq!((&runners["data"][0]["finished"], &runners["data"][0]["alive"]), (&json!(1), &json!(true)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn cancel_ends_a_queued_job_at_once_and_reaches_a_starting_and_a_running_one() {
    let bed = Bed::with(&[("AG_RUNNER_POLL_MS", "20000")]).await;
    let org = bed.org("a").await;
    let cancel = async |id: &str| bed.post(&org, &format!("/v1/jobs/{id}/cancel"), json!({})).await;
    let queued = bed.job(&org, job()).await;
    for _ in 0..2 {
        let canceled = cancel(&queued).await;
        assert_eq!(
            (canceled.0, &canceled.1["state"], &canceled.1["outcome"]),
            (200, &json!("canceled"), &Value::Null)
        );
    }
    let host = Host::new(&bed).await;
    for is_running in [false, true] {
        let id = bed.job(&org, job()).await;
        let claimed = host.claim_one().await;
        if is_running {
            host.output(&claimed, 0, &[]).await;
        }
        let asking = host.clone();
        let poll =
            tokio::spawn(
                async move { asking.post("commands", &json!({"known": [], "draining": false})).await },
            );
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = Instant::now();
        assert_eq!(cancel(&id).await.0, 200);
        let commands = poll.await.unwrap().1;
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert_eq!(commands, json!({"stop": [held(&claimed)], "drain": false}));
        // Whatever the runner says now, it was canceled.
        assert_eq!(
            host.finish(&claimed, if is_running { passed() } else { report(json!({"how": "stopped"})) })
                .await
                .0,
            204
        );
        let canceled = bed.job_now(&org, &id).await;
        assert_eq!((&canceled["state"], &canceled["outcome"]), (&json!("canceled"), &Value::Null));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_command_that_is_known_is_not_said_again_and_a_drain_is_said_once() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let claimed = host.claim_one().await;
    bed.post(&org, &format!("/v1/jobs/{id}/cancel"), json!({})).await;
    let ask = async |known: Value, draining: bool| {
        let begun = Instant::now();
        let answer = host.post("commands", &json!({"known": known, "draining": draining})).await.1;
        (answer, begun.elapsed() >= Duration::from_millis(400))
    };
    let stop = json!([held(&claimed)]);
    assert_eq!(ask(json!([]), false).await, (json!({"stop": stop, "drain": false}), false));
    assert_eq!(
        ask(json!([claimed["attempt"]]), false).await,
        (json!({"stop": stop, "drain": false}), true),
        "held"
    );
    let drained = bed.operator("POST", &format!("/operator/v1/runners/{}/drain", host.id), None).await;
    assert_eq!((drained.0, &drained.1["drain"]), (200, &json!(true)));
    assert_eq!(ask(json!([claimed["attempt"]]), false).await, (json!({"stop": stop, "drain": true}), false));
    assert_eq!(
        ask(json!([claimed["attempt"]]), true).await,
        (json!({"stop": stop, "drain": true}), true),
        "held"
    );
    bed.job(&org, job()).await;
    assert_eq!(host.claim(8, 8).await.len(), 0, "a runner that drains gets nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_ended_job_runs_again_and_a_parked_one_too_with_all_its_chances() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let not_run = report(json!({"how": "not_run", "code": "image_unavailable", "message": "m"}));
    for attempt in 1..=3 {
        let claimed = host.claim_one().await;
        assert_eq!(claimed["number"], attempt);
        assert_eq!(host.finish(&claimed, not_run.clone()).await.0, 204);
    }
    let dead = bed.job_now(&org, &id).await;
    assert_eq!((&dead["state"], &dead["outcome"]), (&json!("dead"), &json!("infrastructure")));
    let again = format!("/v1/jobs/{id}/retry");
    let queued = bed.post(&org, &again, json!({})).await;
    assert_eq!((queued.0, &queued.1["state"], &queued.1["outcome"]), (200, &json!("queued"), &Value::Null));
    assert_eq!(code(&bed.post(&org, &again, json!({})).await), (409, "conflict"), "it has not ended");
    let claimed = host.claim_one().await;
    assert_eq!(claimed["number"], 4);
    host.finish(&claimed, not_run).await;
    assert_eq!(bed.job_now(&org, &id).await["state"], "queued", "its chances are new");
    let claimed = host.claim_one().await;
    host.finish(&claimed, passed()).await;
    let done = bed.job_now(&org, &id).await;
    assert_eq!((&done["outcome"], done["attempts"].as_array().unwrap().len()), (&json!("passed"), 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn failing_outcomes_are_tried_again_as_often_as_the_caller_wants_with_a_backoff() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let mut wanted = job();
    wanted["retries"] = json!(1);
    let id = bed.job(&org, wanted).await;
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[chunk("stdout", b"old")]).await;
    let ended = Instant::now();
    host.finish(&claimed, failed()).await;
    let claimed = host.claim_one().await;
    assert!(ended.elapsed() > Duration::from_millis(400), "after a backoff: {:?}", ended.elapsed());
    host.output(&claimed, 0, &[chunk("stdout", b"new")]).await;
    host.finish(&claimed, failed()).await;
    let job = bed.job_now(&org, &id).await;
    assert_eq!(
        (&job["state"], &job["outcome"], &job["retried"]),
        (&json!("done"), &json!("failed"), &json!(1))
    );
    assert_eq!(job["output"]["stdout"]["preview"]["data"], "new", "the old output is dropped");
    let mut db = bed.database.superuser().await;
    let (chunks,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM job_output").fetch_one(&mut db).await.unwrap();
    assert_eq!(chunks, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn r16_a_sandbox_that_dies_twice_on_healthy_hosts_is_the_subjects_doing() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    for _ in 0..2 {
        let claimed = host.claim_one().await;
        let died = json!({"how": "died", "started": true, "host_healthy": true, "message": "panic"});
        assert_eq!(host.finish(&claimed, report(died)).await.0, 204);
    }
    let job = bed.job_now(&org, &id).await;
    assert_eq!((&job["state"], &job["outcome"]), (&json!("done"), &json!("crashed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_ended_jobs_are_deleted_and_nothing_of_them_is_left() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let path = format!("/v1/jobs/{id}");
    assert_eq!(code(&bed.call("DELETE", &org.admin, &path, None).await), (409, "conflict"));
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[chunk("stdout", b"x")]).await;
    host.finish(&claimed, passed()).await;
    assert_eq!(bed.call("DELETE", &org.admin, &path, None).await.0, 204);
    assert_eq!(bed.get(&org, &path).await.0, 404);
    assert_eq!(host.output(&claimed, 1, &[]).await.0, 409);
    let mut db = bed.database.superuser().await;
    let (left,): (i64,) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM job_attempts) + (SELECT count(*) FROM job_output)",
    )
    .fetch_one(&mut db)
    .await
    .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn lists_are_filtered_searched_and_paged() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let named = |name: &str, language: &str, labels: Value| json!({"name": name, "language": language, "source": "1", "labels": labels});
    let gpu = bed.job(&org, named("Train_100%", "python", json!(["gpu"]))).await;
    let plain = bed.job(&org, named("plain", "bash", json!([]))).await;
    let claimed = host.claim_one().await;
    assert_eq!(claimed["job"], plain, "no runner has `gpu`");
    host.finish(&claimed, failed()).await;
    let ids = async |query: &str| -> Vec<String> {
        let (status, page) = bed.get(&org, &format!("/v1/jobs?{query}")).await;
        assert_eq!(status, 200, "{query}: {page}");
        page["data"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect()
    };
    let (both, none): (Vec<String>, Vec<String>) = (vec![plain.clone(), gpu.clone()], vec![]);
    let cases = [
        (String::new(), &both),
        ("state=queued".into(), &vec![gpu.clone()]),
        ("state=done&outcome=failed".into(), &vec![plain.clone()]),
        ("outcome=passed".into(), &none),
        ("language=python".into(), &vec![gpu.clone()]),
        ("label=gpu".into(), &vec![gpu.clone()]),
        ("owner=caller".into(), &both),
        ("owner=grade".into(), &none),
        (format!("run=evalrun_{:032x}", 7), &none),
        ("search=train_100%25".into(), &vec![gpu.clone()]),
        ("search=%25".into(), &vec![gpu.clone()]),
        ("search=lai".into(), &vec![plain.clone()]),
        (format!("search={plain}"), &vec![plain.clone()]),
        ("from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z".into(), &none),
        ("from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z".into(), &both),
    ];
    for (query, expected) in cases {
        assert_eq!(&ids(&query).await, expected, "{query}");
    }
    let first = bed.get(&org, "/v1/jobs?limit=1&state=queued").await.1;
    assert_eq!(first["next_cursor"], Value::Null);
    let first = bed.get(&org, "/v1/jobs?limit=1").await.1;
    let cursor = text(&first["next_cursor"]);
    assert_eq!(ids(&format!("limit=1&cursor={cursor}")).await, [gpu]);
    let other = bed.get(&org, &format!("/v1/jobs?limit=1&state=queued&cursor={cursor}")).await;
    assert_eq!(code(&other), (400, "invalid_parameter"), "a cursor is for one set of filters");
    for bad in ["state=x", "outcome=x", "language=cobol", "from=yesterday", "run=x", "x=1"] {
        assert_eq!(
            code(&bed.get(&org, &format!("/v1/jobs?{bad}")).await),
            (400, "invalid_parameter"),
            "{bad}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_queue_tells_depth_age_runners_and_throughput_and_the_operator_sees_all() {
    let bed = Bed::start().await;
    let (org, other) = (bed.org("a").await, bed.org("b").await);
    let host = Host::new(&bed).await;
    for (priority, labels) in [("high", json!([])), ("low", json!(["gpu"])), ("low", json!(["gpu", "big"]))] {
        bed.job(&org, json!({"language": "bash", "source": "1", "priority": priority, "labels": labels}))
            .await;
    }
    bed.job(&other, job()).await;
    let claimed = host.claim(2, 0).await;
    assert_eq!(claimed.len(), 2);
    host.output(&claimed[0], 0, &[]).await;
    host.finish(&claimed[0], passed()).await;
    let own = bed.get(&org, "/v1/queue").await.1;
    assert_eq!(
        (&own["queued"], &own["priorities"][0]["priority"], &own["priorities"][0]["depth"]),
        (&json!(2), &json!("low"), &json!(2))
    );
    assert_eq!((&own["labels"][0]["label"], &own["labels"][0]["depth"]), (&json!("big"), &json!(1)));
    assert_eq!((&own["labels"][1]["label"], &own["labels"][1]["depth"]), (&json!("gpu"), &json!(2)));
    assert!(own["labels"][1]["oldest_age_ms"].as_i64().unwrap() >= 0);
    assert_eq!(own["runners"], json!({"alive": 1, "slots": {"sandbox": 8, "sample": 8}}));
    let all = bed.operator("GET", "/operator/v1/queue", None).await.1;
    assert_eq!((&all["queued"], &all["starting"]), (&json!(2), &json!(1)));
    assert_eq!(all["throughput"], json!({"last_minute": 1, "last_hour": 1}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn runner_tokens_are_shown_once_kept_as_digests_and_worthless_when_revoked() {
    let bed = Bed::start().await;
    let token = bed.runner_token().await;
    let host = Host::register(&bed, &token, json!({})).await;
    let list = bed.operator("GET", "/operator/v1/runner-tokens", None).await.1;
    assert!(!list.to_string().contains(&token));
    let mut db = bed.database.superuser().await;
    let (digest,): (Vec<u8>,) =
        sqlx::query_as("SELECT digest FROM runner_tokens").fetch_one(&mut db).await.unwrap();
    assert_eq!(digest.len(), 32);
    let mut forged = token.clone();
    forged.replace_range(token.len() - 1.., if token.ends_with('0') { "1" } else { "0" });
    let missing = format!("ag_rnr_{:032x}_{}", 7, "0".repeat(48));
    let mut answers = Vec::new();
    for token in [&forged, &missing, &"ag_rnr_x".to_owned()] {
        let claim =
            bed.request(Method::POST, &format!("/runner/v1/runners/{}/claim", host.id)).bearer_auth(token);
        answers.push(read(claim.body("{}")).await);
    }
    assert!(answers.iter().all(|answer| code(answer) == (401, "invalid_api_key") && *answer == answers[0]));
    let stranger = Host { token: bed.runner_token().await, ..host.clone() };
    let ask = json!({"known": [], "draining": false});
    assert_eq!(
        code(&stranger.post("commands", &ask).await),
        (409, "runner_unknown"),
        "another token's runner"
    );
    let revoke = format!("/operator/v1/runner-tokens/{}", text(&list["data"][0]["id"]));
    for _ in 0..2 {
        let revoked = bed.operator("DELETE", &revoke, None).await;
        assert!(revoked.0 == 200 && revoked.1["revoked_at"].is_string());
    }
    assert_eq!(code(&host.post("commands", &ask).await), (401, "invalid_api_key"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_many_runners_that_say_how_one_attempt_ended_one_is_heard() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let claimed = host.claim_one().await;
    let finish = |report: Value| {
        let (host, claimed) = (host.clone(), claimed.clone());
        async move { host.finish(&claimed, report).await.0 }
    };
    let statuses = all_at_once((0..10).map(|n| finish(if n % 2 == 0 { passed() } else { failed() }))).await;
    assert!(statuses.iter().all(|status| *status == 204), "{statuses:?}");
    let job = bed.job_now(&org, &id).await;
    let by_code = [("passed", 0), ("failed", 1)];
    let told = by_code.iter().find(|(outcome, _)| job["outcome"] == *outcome).unwrap();
    assert_eq!(job["attempts"][0]["ending"]["code"], told.1, "outcome and report are one attempt's");
    let runners = bed.operator("GET", "/operator/v1/runners", None).await.1;
    assert_eq!(runners["data"][0]["finished"], 1);
}
