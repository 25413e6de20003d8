//! Leases, fencing and outages: R09, R10, R14, C11, and a Postgres that goes away.

use crate::{
    bed::{Bed, Control, Org, code, environment, settings, text},
    clocks::Skewed,
    jobs_hosts::{Host, chunk, failed, held, job, passed},
    outages::Line,
    rls::uuid,
};
use alphagate_control::{app::App, serve};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// What is lost when nothing is.
const NOTHING: [Value; 0] = [];
const SHORT_LEASE: (&str, &str) = ("AG_LEASE_MS", "1500");

async fn short() -> (Bed, Org, Host) {
    let bed = Bed::with(&[SHORT_LEASE]).await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    (bed, org, host)
}

fn attempts(job: &Value) -> usize {
    job["attempts"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lease_that_is_renewed_holds_and_one_that_runs_out_is_taken_over_and_fenced() {
    let (bed, org, host) = short().await;
    let other = Host::new(&bed).await;
    let id = bed.job(&org, job()).await;
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[chunk("stdout", b"old")]).await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(host.renew(&[&claimed]).await, NOTHING);
        assert_eq!(bed.job_now(&org, &id).await["state"], "running");
    }
    let silent = Instant::now();
    let taken = other.claim_one().await;
    assert!(silent.elapsed() < Duration::from_secs(10), "recovered in {:?}", silent.elapsed());
    assert_eq!((&taken["job"], &taken["number"]), (&json!(id), &json!(2)));
    // R10: whatever the old one says now, it is not heard.
    assert_eq!(host.renew(&[&claimed]).await, [held(&claimed)]);
    for reply in
        [host.output(&claimed, 1, &[chunk("stdout", b"zombie")]).await, host.finish(&claimed, failed()).await]
    {
        assert_eq!(code(&reply), (409, "attempt_superseded"));
    }
    other.output(&taken, 0, &[chunk("stdout", b"new")]).await;
    assert_eq!(other.finish(&taken, passed()).await.0, 204);
    assert_eq!(code(&host.finish(&claimed, failed()).await), (409, "attempt_superseded"));
    let job = bed.job_now(&org, &id).await;
    assert_eq!((&job["outcome"], attempts(&job)), (&json!("passed"), 2));
    assert_eq!(job["attempts"][0]["ending"], json!({"how": "lost"}));
    assert_eq!(job["output"]["stdout"]["preview"]["data"], "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_an_outage_leases_of_the_time_before_hold_longer_and_newer_ones_as_long_as_they_should() {
    let bed = Bed::with(&[("AG_LEASE_MS", "600000")]).await;
    let org = bed.org("a").await;
    let host = Host::new(&bed).await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(bed.job(&org, job()).await);
        host.claim_one().await;
    }
    let [older, last, newer] = [&jobs[0], &jobs[1], &jobs[2]];
    let mut db = bed.database.superuser().await;
    // Five minutes without a beat, in which nobody could renew. One lease is from a second after the last beat, one from
    // the end of the outage, before the next beat.
    let outage = format!(
        "BEGIN;
         UPDATE job_pulse SET beat_at = now() - interval '300 seconds';
         UPDATE jobs SET lease_until = now() + interval '200 seconds' WHERE id = '{}';
         UPDATE jobs SET lease_until = now() + interval '301 seconds' WHERE id = '{}';
         COMMIT",
        uuid(older),
        uuid(last)
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(outage)).execute(&mut db).await.unwrap();
    loop {
        let sql = "SELECT now() - beat_at < interval '10 seconds' FROM job_pulse";
        let (beaten,): (bool,) = sqlx::query_as(sql).fetch_one(&mut db).await.unwrap();
        if beaten {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for (id, least_s, most_s) in [(older, 440.0, 520.0), (last, 541.0, 621.0), (newer, 540.0, 600.5)] {
        let sql =
            "SELECT extract(epoch FROM lease_until - now())::float8 FROM jobs WHERE id = $1::text::uuid";
        let (left_s,): (f64,) = sqlx::query_as(sql).bind(uuid(id)).fetch_one(&mut db).await.unwrap();
        assert!((least_s..most_s).contains(&left_s), "{left_s} s are left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn r10_a_frozen_runners_late_result_counts_if_nobody_took_over() {
    let (bed, org, host) = short().await;
    let id = bed.job(&org, job()).await;
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[chunk("stdout", b"a")]).await;
    bed.job_in(&org, &id, "queued").await;
    assert_eq!(host.claim(8, 8).await.len(), 0, "the one that may still finish it does not get it anew");
    assert_eq!(host.output(&claimed, 1, &[chunk("stdout", b"b")]).await.0, 204);
    assert_eq!(host.finish(&claimed, passed()).await.0, 204);
    let job = bed.job_now(&org, &id).await;
    assert_eq!((&job["outcome"], attempts(&job)), (&json!("passed"), 1));
    assert_eq!(job["output"]["stdout"]["preview"]["data"], "ab");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_lost_lease_can_be_renewed_until_somebody_takes_over_but_not_past_the_orgs_cap() {
    let (bed, org, host) = short().await;
    let path = format!("/operator/v1/orgs/{}/queue", org.id);
    bed.operator("PUT", &path, Some(&json!({"sandbox_max": 1}))).await;
    let first = bed.job(&org, job()).await;
    let claimed = host.claim_one().await;
    bed.job_in(&org, &first, "queued").await;
    assert_eq!(host.renew(&[&claimed]).await, NOTHING);
    assert_eq!(bed.job_now(&org, &first).await["state"], "starting");
    bed.job_in(&org, &first, "queued").await;
    let mut urgent = job();
    urgent["priority"] = json!("high");
    let second = bed.job(&org, urgent).await;
    let other = Host::new(&bed).await;
    let taken = other.claim_one().await;
    assert_eq!(taken["job"], second);
    assert_eq!(host.renew(&[&claimed]).await, [held(&claimed)], "the org's one slot is taken");
    other.finish(&taken, passed()).await;
    assert_eq!(host.finish(&claimed, passed()).await.0, 204, "its result counts all the same");
    assert_eq!(bed.job_now(&org, &first).await["outcome"], "passed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn r14_a_job_that_kills_its_runner_every_time_is_parked_after_three_attempts() {
    let bed = Bed::with(&[("AG_LEASE_MS", "600")]).await;
    let org = bed.org("a").await;
    let id = bed.job(&org, job()).await;
    for number in 1..=3 {
        let host = Host::new(&bed).await;
        let claimed = host.claim_one().await;
        assert_eq!(claimed["number"], number);
        host.output(&claimed, 0, &[]).await;
    }
    let dead = bed.job_in(&org, &id, "dead").await;
    assert_eq!((&dead["outcome"], attempts(&dead)), (&json!("infrastructure"), 3));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(Host::new(&bed).await.claim(8, 8).await.len(), 0, "never tried for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_claim_that_never_reached_its_runner_is_taken_back_and_costs_no_attempt() {
    let (bed, org, host) = short().await;
    let id = bed.job(&org, job()).await;
    let lost = host.claim_one().await;
    let begun = Instant::now();
    while bed.job_now(&org, &id).await["state"] != "queued" {
        host.renew(&[]).await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(attempts(&bed.job_now(&org, &id).await), 0);
    let claimed = host.claim_one().await;
    assert_eq!(claimed["number"], 1);
    assert_eq!(code(&host.finish(&lost, failed()).await), (409, "attempt_superseded"));
    assert_eq!(host.finish(&claimed, passed()).await.0, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_runner_that_registers_again_goes_on_with_what_it_holds() {
    let (bed, org, host) = short().await;
    let id = bed.job(&org, job()).await;
    let claimed = host.claim_one().await;
    let again = Host::register(&bed, &host.token, json!({})).await;
    assert_ne!(again.id, host.id);
    assert_eq!(again.renew(&[&claimed]).await, NOTHING);
    bed.post(&org, &format!("/v1/jobs/{id}/cancel"), json!({})).await;
    let commands = again.post("commands", &json!({"known": [], "draining": false})).await.1;
    assert_eq!(commands["stop"], json!([held(&claimed)]));
    let stranger = Host::new(&bed).await;
    assert_eq!(stranger.renew(&[&claimed]).await, [held(&claimed)], "another token's attempt");
    assert_eq!(code(&stranger.finish(&claimed, passed()).await), (409, "attempt_superseded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_runner_that_does_not_stop_loses_the_job_and_the_job_is_canceled() {
    let (bed, org, host) = short().await;
    let id = bed.job(&org, job()).await;
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[]).await;
    bed.post(&org, &format!("/v1/jobs/{id}/cancel"), json!({})).await;
    let mut db = bed.database.superuser().await;
    sqlx::query("UPDATE jobs SET cancel_asked_at = now() - interval '31 s'").execute(&mut db).await.unwrap();
    assert_eq!(host.renew(&[&claimed]).await, [held(&claimed)]);
    let canceled = bed.job_in(&org, &id, "canceled").await;
    assert_eq!((&canceled["outcome"], attempts(&canceled)), (&Value::Null, 1));
}

/// A replica whose clock is off, and its hosts.
async fn skewed(bed: &Bed, off_ms: i64) -> String {
    let settings = settings(&environment(&bed.secrets, &bed.database, bed.edge.url()), &[SHORT_LEASE]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (app, inbox) = App::new(settings, Arc::new(Skewed(off_ms))).unwrap();
    tokio::spawn(serve::until(app, inbox, listener, std::future::pending()));
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn c11_leases_are_the_databases_whatever_the_clocks_of_the_hosts_say() {
    let (bed, org, _) = short().await;
    let token = bed.runner_token().await;
    for off_ms in [600_000, -600_000] {
        let host = Host::register_at(&bed, &skewed(&bed, off_ms).await, &token, json!({})).await;
        let id = bed.job(&org, job()).await;
        let claimed = host.claim_one().await;
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(host.renew(&[&claimed]).await, NOTHING);
        }
        let begun = Instant::now();
        bed.job_in(&org, &id, "queued").await;
        let lost_after = begun.elapsed();
        assert!(
            lost_after > Duration::from_millis(600) && lost_after < Duration::from_secs(10),
            "{lost_after:?}"
        );
        assert_eq!(host.finish(&claimed, passed()).await.0, 204);
        assert_eq!(attempts(&bed.job_now(&org, &id).await), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn five_seconds_without_postgres_cost_no_attempt_though_the_lease_is_shorter() {
    let mut bed = Bed::start().await;
    let org = bed.org("a").await;
    let line = Line::to_database(&bed.database).await;
    bed.control.stop().await;
    let (tenant, system) =
        (line.through(&bed.database.tenant_url()), line.through(&bed.database.system_url()));
    let changes = [
        SHORT_LEASE,
        ("AG_DATABASE_URL", tenant.as_str()),
        ("AG_SYSTEM_DATABASE_URL", &system),
        ("AG_DATABASE_WAIT_MS", "1000"),
    ];
    let environment = environment(&bed.secrets, &bed.database, bed.edge.url());
    bed.control = Control::start(settings(&environment, &changes)).await;
    let host = Host::new(&bed).await;
    let (id, second) = (bed.job(&org, job()).await, bed.job(&org, job()).await);
    let claimed = host.claim(2, 0).await;
    host.output(&claimed[0], 0, &[chunk("stdout", b"a")]).await;
    // A beat of the pulse before the outage.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(host.renew(&[&claimed[0], &claimed[1]]).await, NOTHING);
    line.cut();
    let cut = Instant::now();
    while cut.elapsed() < Duration::from_secs(5) {
        // R09: what cannot be said is said again.
        let reply = host.finish(&claimed[0], passed()).await;
        assert_eq!(code(&reply), (503, "store_unavailable"), "{reply:?}");
    }
    line.mend();
    let mended = Instant::now();
    let mut renewed = false;
    while !renewed {
        let answer = host.post("renew", &json!({"held": [held(&claimed[0]), held(&claimed[1])]})).await;
        renewed = answer.0 == 200;
        assert!(!renewed || answer.1["lost"] == json!([]), "{answer:?}");
        assert!(mended.elapsed() < Duration::from_secs(5), "not healed");
    }
    for claimed in &claimed {
        assert_eq!(host.finish(claimed, passed()).await.0, 204);
    }
    for id in [id, second] {
        let job = bed.job_now(&org, &id).await;
        assert_eq!((&job["outcome"], attempts(&job)), (&json!("passed"), 1), "{job:#}");
        assert_eq!(text(&job["attempts"][0]["ending"]["how"]), "exited");
    }
    // And afterwards a lease runs out as ever.
    let third = bed.job(&org, job()).await;
    host.claim_one().await;
    bed.job_in(&org, &third, "queued").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_control_that_was_away_takes_no_lease_from_runners_that_could_not_renew() {
    let (mut bed, org, host) = short().await;
    let id = bed.job(&org, job()).await;
    let claimed = host.claim_one().await;
    host.output(&claimed, 0, &[]).await;
    bed.control.stop().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    bed.control = bed.replica(&[SHORT_LEASE]).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let host = Host { url: bed.control.url.clone(), ..host };
    assert_eq!(bed.job_now(&org, &id).await["state"], "running");
    assert_eq!(host.renew(&[&claimed]).await, NOTHING);
    assert_eq!(host.finish(&claimed, passed()).await.0, 204);
    assert_eq!(attempts(&bed.job_now(&org, &id).await), 1);
}
