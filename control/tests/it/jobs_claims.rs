//! Who gets a job, and when: each job once, caps never passed, orgs alike, priorities that age, labels and images.

use crate::{
    bed::{Bed, Org, text},
    bodies::all_at_once,
    jobs_hosts::{Host, job, passed},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

async fn hand_in(bed: &Bed, org: &Org, number: usize, job: &Value) -> Vec<String> {
    let made = bed.make(org, "/v1/jobs", json!({"jobs": vec![job.clone(); number]})).await;
    made["data"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect()
}

async fn set_cap(bed: &Bed, org: &Org, sandbox_max: u32) {
    let path = format!("/operator/v1/orgs/{}/queue", org.id);
    assert_eq!(bed.operator("PUT", &path, Some(&json!({"sandbox_max": sandbox_max}))).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fifty_runners_at_once_never_pass_an_orgs_cap_and_each_job_is_claimed_once() {
    let bed = Bed::start().await;
    let (capped, free) = (bed.org("capped").await, bed.org("free").await);
    set_cap(&bed, &capped, 7).await;
    let jobs: BTreeSet<String> = hand_in(&bed, &capped, 60, &job()).await.into_iter().collect();
    let others: BTreeSet<String> = hand_in(&bed, &free, 60, &job()).await.into_iter().collect();
    let token = bed.runner_token().await;
    let mut hosts = Vec::new();
    for _ in 0..50 {
        hosts.push(Host::register(&bed, &token, json!({})).await);
    }
    let mut claimed: Vec<(Host, Value)> = Vec::new();
    let mut seen = BTreeSet::new();
    while seen.len() < 120 {
        let polls = hosts.iter().cloned().map(|host| async move {
            let jobs = host.claim(2, 0).await;
            jobs.into_iter().map(|job| (host.clone(), job)).collect::<Vec<_>>()
        });
        for (host, job) in all_at_once(polls).await.into_iter().flatten() {
            assert!(seen.insert(text(&job["job"])), "claimed twice: {job}");
            claimed.push((host, job));
        }
        let held =
            claimed.iter().filter(|(_, claimed)| jobs.contains(claimed["job"].as_str().unwrap())).count();
        assert!(held <= 7, "{held} at once");
        for (host, job) in claimed.drain(..) {
            assert_eq!(host.finish(&job, passed()).await.0, 204);
        }
    }
    assert_eq!(seen, jobs.union(&others).cloned().collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_org_of_which_nothing_may_run_waits_and_a_suspended_one_too() {
    let bed = Bed::start().await;
    let (none, suspended, other) =
        (bed.org("none").await, bed.org("suspended").await, bed.org("other").await);
    set_cap(&bed, &none, 0).await;
    for org in [&none, &suspended] {
        hand_in(&bed, org, 3, &job()).await;
    }
    let own = hand_in(&bed, &other, 1, &job()).await;
    let suspend = format!("/operator/v1/orgs/{}", suspended.id);
    assert_eq!(bed.operator("PATCH", &suspend, Some(&json!({"suspended": true}))).await.0, 200);
    let host = Host::new(&bed).await;
    let claimed = host.claim(8, 0).await;
    assert_eq!(claimed.iter().map(|job| text(&job["job"])).collect::<Vec<_>>(), own);
    assert_eq!(host.claim(8, 0).await.len(), 0);
}

/// A simulated fleet of slots: claims whenever one is free, and finishes each job after its time.
async fn run_fleet(
    host: &Host,
    slots: usize,
    orgs: &BTreeMap<String, u64>,
    length: Duration,
) -> BTreeMap<String, f64> {
    let mut running: Vec<(Instant, Instant, String, Value)> = Vec::new();
    let mut seconds: BTreeMap<String, f64> = BTreeMap::new();
    let begun = Instant::now();
    while begun.elapsed() < length {
        let free = u32::try_from(slots - running.len()).unwrap();
        for claimed in if free > 0 { host.claim(free, 0).await } else { vec![] } {
            let org = text(&claimed["work"]["argv"][0]);
            let now = Instant::now();
            running.push((now, now + Duration::from_millis(orgs[&org]), org, claimed));
        }
        let next = running.iter().map(|(_, end, ..)| *end).min().unwrap();
        tokio::time::sleep_until(next.into()).await;
        let (ended, going): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|(_, end, ..)| *end <= Instant::now());
        running = going;
        for (start, _, org, claimed) in ended {
            assert_eq!(host.finish(&claimed, passed()).await.0, 204);
            *seconds.entry(org).or_default() += start.elapsed().as_secs_f64();
        }
    }
    for (start, _, org, _) in running {
        *seconds.entry(org).or_default() += start.elapsed().as_secs_f64();
    }
    seconds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_orgs_that_both_wait_share_slot_time_whatever_the_length_of_their_jobs() {
    let bed = Bed::start().await;
    let host = Host::new(&bed).await;
    let mut orgs = BTreeMap::new();
    for (name, ms, jobs) in [("short", 40_u64, 900), ("long", 400, 300)] {
        let org = bed.org(name).await;
        hand_in(&bed, &org, jobs, &json!({"language": "bash", "source": "1", "argv": [name]})).await;
        orgs.insert(name.to_owned(), ms);
    }
    let seconds = run_fleet(&host, 8, &orgs, Duration::from_secs(12)).await;
    let (short, long) = (seconds["short"], seconds["long"]);
    assert!((short - long).abs() / (short + long) < 0.2, "{seconds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_idle_org_saves_nothing_up() {
    let bed = Bed::start().await;
    let host = Host::new(&bed).await;
    let (busy, idle) = (bed.org("busy").await, bed.org("idle").await);
    let named = |name: &str| json!({"language": "bash", "source": "1", "argv": [name]});
    // The idle org has used next to nothing, the busy one works alone for a while.
    hand_in(&bed, &idle, 1, &named("idle")).await;
    let claimed = host.claim_one().await;
    host.finish(&claimed, passed()).await;
    hand_in(&bed, &busy, 500, &named("busy")).await;
    let orgs = BTreeMap::from([("busy".to_owned(), 100), ("idle".to_owned(), 100)]);
    run_fleet(&host, 4, &orgs, Duration::from_secs(5)).await;
    hand_in(&bed, &idle, 500, &named("idle")).await;
    let seconds = run_fleet(&host, 4, &orgs, Duration::from_secs(8)).await;
    let (busy, idle) = (seconds["busy"], seconds["idle"]);
    assert!((busy - idle).abs() / (busy + idle) < 0.2, "{seconds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn priorities_order_the_jobs_of_an_org_and_age() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let with = |priority: &str| json!({"language": "bash", "source": "1", "priority": priority});
    let mut ids = BTreeMap::new();
    for name in ["low", "normal", "high"] {
        ids.insert(name, bed.job(&org, with(name)).await);
    }
    let old = bed.job(&org, with("low")).await;
    // As if it had waited for twenty-one minutes: older than what is high now.
    let mut db = bed.database.superuser().await;
    sqlx::query("UPDATE jobs SET effective_at = effective_at - interval '21 minutes', due_at = due_at - interval '21 minutes' WHERE id = $1::uuid")
        .bind(old.trim_start_matches("job_"))
        .execute(&mut db)
        .await
        .unwrap();
    let host = Host::new(&bed).await;
    let order: Vec<String> = host.claim(8, 0).await.iter().map(|job| text(&job["job"])).collect();
    assert_eq!(order, [&old, &ids["high"], &ids["normal"], &ids["low"]].map(String::clone));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn labels_and_images_say_which_runner_a_job_may_go_to() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let token = bed.runner_token().await;
    let with = |labels: Value, image: &str| json!({"language": "bash", "source": "1", "labels": labels, "image": image});
    let gpu = bed.job(&org, with(json!(["gpu", "eu"]), "host")).await;
    let minimal = bed.job(&org, with(json!([]), "minimal")).await;
    let plain = bed.job(&org, with(json!([]), "host")).await;
    let runner = async |labels: Value, images: Value| {
        let host = Host::register(&bed, &token, json!({"labels": labels, "images": images})).await;
        host.claim(8, 0).await.iter().map(|job| text(&job["job"])).collect::<Vec<_>>()
    };
    assert_eq!(runner(json!(["gpu"]), json!([])).await, [""; 0]);
    assert_eq!(runner(json!(["gpu"]), json!(["minimal"])).await, [minimal]);
    assert_eq!(runner(json!(["eu", "x", "gpu"]), json!(["host"])).await, [gpu, plain]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_held_poll_is_woken_by_a_new_job_also_one_of_another_replica() {
    let bed = Bed::with(&[("AG_RUNNER_POLL_MS", "30000")]).await;
    let mut other = bed.replica(&[("AG_RUNNER_POLL_MS", "30000")]).await;
    let org = bed.org("a").await;
    let token = bed.runner_token().await;
    for url in [&bed.control.url, &other.url] {
        let host = Host::register_at(&bed, url, &token, json!({})).await;
        let poll = tokio::spawn(async move { (host.claim(1, 0).await, Instant::now()) });
        tokio::time::sleep(Duration::from_millis(700)).await;
        let handed_in = Instant::now();
        bed.job(&org, job()).await;
        let (claimed, at) = poll.await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert!(at - handed_in < Duration::from_millis(900), "{:?}", at - handed_in);
    }
    let host = Host::register_at(&bed, &other.url, &token, json!({})).await;
    let poll = tokio::spawn(async move { host.claim(1, 0).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopping = Instant::now();
    other.stop().await;
    assert_eq!(poll.await.unwrap().len(), 0);
    assert!(
        stopping.elapsed() < Duration::from_secs(5),
        "a poll does not hold up the end: {:?}",
        stopping.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn claims_and_lists_use_an_index_however_many_jobs_there_are() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    hand_in(&bed, &org, 1, &job()).await;
    let mut db = bed.database.superuser().await;
    for sql in [
        "INSERT INTO jobs (org_id, id, kind, language, image, labels, priority, spec, output_max_bytes, owner, state, created_at,
            due_at, effective_at, retries, ended_at, outcome)
         SELECT org_id, uuid_floor(now() - n * interval '1 second'), kind, language, image, labels, priority, spec, 1, owner,
            CASE WHEN n % 10 = 0 THEN 'queued' ELSE 'done' END, now() - n * interval '1 second', due_at, effective_at, 0,
            CASE WHEN n % 10 = 0 THEN NULL ELSE now() - n * interval '1 second' END,
            CASE WHEN n % 10 = 0 THEN NULL ELSE 'passed' END
         FROM jobs, generate_series(1, 20000) AS n",
        "ANALYZE jobs",
    ] {
        sqlx::query(sql).execute(&mut db).await.unwrap();
    }
    let statements = [
        "SELECT id FROM jobs WHERE org_id = ORG ORDER BY id DESC LIMIT 21",
        "SELECT id FROM jobs WHERE org_id = ORG AND state = 'dead' ORDER BY id DESC LIMIT 21",
        "SELECT id FROM jobs WHERE org_id = ORG AND outcome = 'failed' ORDER BY id DESC LIMIT 21",
        "SELECT id FROM jobs WHERE org_id = ORG AND owner_run = '00000000-0000-0000-0000-000000000007' ORDER BY id DESC LIMIT 21",
        "SELECT id FROM jobs WHERE org_id = ORG AND created_at >= now() - interval '9 s' AND id >= uuid_floor(now() - interval '9 s' - interval '1 hour') ORDER BY id DESC LIMIT 21",
        "SELECT priority, labels, created_at FROM jobs WHERE state = 'queued' AND org_id = ORG",
        "SELECT count(*) FROM jobs WHERE ended_at > now() - interval '1 minute' AND org_id = ORG",
        "SELECT id FROM jobs WHERE org_id = ORG AND kind = 'sandbox' AND state = 'queued' AND due_at <= now() ORDER BY effective_at, id LIMIT 8",
        "SELECT org_id FROM jobs WHERE kind = 'sandbox' AND state = 'queued' AND org_id > ORG ORDER BY org_id LIMIT 1",
        "SELECT count(*) FROM jobs WHERE org_id = ORG AND kind = 'sandbox' AND state IN ('starting', 'running')",
        "SELECT id FROM jobs WHERE runner_id = ORG AND state IN ('starting', 'running')",
        "SELECT org_id FROM jobs WHERE id = ORG",
    ];
    let uuid = format!("'{}'", org.id.trim_start_matches("org_"));
    for sql in statements {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN {}", sql.replace("ORG", &uuid)));
        let plan: Vec<(String,)> = sqlx::query_as(explain).fetch_all(&mut db).await.unwrap();
        let plan = plan.into_iter().map(|(line,)| line).collect::<Vec<_>>().join("\n");
        assert!(plan.contains("Index") && !plan.contains("Seq Scan"), "{sql}\n{plan}");
    }
    let begun = Instant::now();
    for path in ["/v1/jobs", "/v1/jobs?state=dead", "/v1/jobs?outcome=failed", "/v1/queue"] {
        assert_eq!(bed.get(&org, path).await.0, 200);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
