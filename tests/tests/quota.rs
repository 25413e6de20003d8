//! Quotas and revocation under load: the promises about the last unit and the next request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use alphagate_bed::{Bed, KvMode};
use alphagate_tests::{Caller, Mode, Stage, in_both_modes};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;

in_both_modes! {
    of_a_thousand_requests_for_four_hundred_units_four_hundred_are_admitted,
    a_clock_that_steps_is_no_reason_to_go_by_what_was_so_before,
    of_a_thousand_requests_for_the_last_unit_exactly_one_is_admitted,
    a_refusal_says_which_quota_and_when_there_is_room,
    a_provider_that_fails_costs_no_quota,
    calls_at_once_are_capped_and_freed,
    an_eviction_between_reserve_and_settle_neither_over_admits_nor_sticks,
    a_clock_that_steps_back_moves_no_window,
    the_installs_of_an_endpoint_are_each_under_the_publishers_quota,
    a_revoked_key_is_refused_from_the_revokes_answer_on_while_kv_still_has_it,
    a_suspended_org_is_refused_at_once,
    a_publisher_never_pays_for_an_install_without_a_limit,
}

const LAST_UNIT_CALLERS: usize = 1_000;
const RUNNING_CALLS: usize = 1_000;

fn org_quota(limit: Value) -> Value {
    json!([{"subject": {"kind": "org"}, "limit": limit}])
}

async fn of_a_thousand_requests_for_the_last_unit_exactly_one_is_admitted(mode: Mode) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    let second = stage.org.admin.mint_key("second", &["call"]).await?;
    let callers = [stage.caller.clone(), Caller { key: second, ..stage.caller.clone() }];
    for window in ["minute", "hour", "day", "month"] {
        let used = stage.calls().counts().started;
        let quota = json!({"unit": "requests", "window": window, "cap": used + 1});
        stage.org.admin.put_quotas(&org_quota(quota)).await?;
        if used > 0 {
            // Only what was counted since the quota was set counts: take what is over the last unit.
            for _ in 0..used {
                assert_eq!(callers[0].ask(json!({})).await?.0, 200);
            }
        }
        let before = stage.calls().counts().started;
        let mut tasks = JoinSet::new();
        for n in 0..LAST_UNIT_CALLERS {
            let caller = callers[n % 2].clone();
            tasks.spawn(async move { caller.ask(json!({})).await.map(|(status, _)| status) });
        }
        let statuses = tasks.join_all().await.into_iter().collect::<Result<Vec<u16>>>()?;
        let count = |status| statuses.iter().filter(|other| **other == status).count();
        assert_eq!(
            count(200),
            1,
            "{window}: {:?}",
            statuses.iter().filter(|s| **s != 429).collect::<Vec<_>>()
        );
        assert_eq!(count(429) + count(503), LAST_UNIT_CALLERS - 1, "{window}");
        assert_eq!(stage.calls().counts().started - before, 1, "{window}");
    }
    Ok(())
}

async fn a_refusal_says_which_quota_and_when_there_is_room(mode: Mode) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    stage.org.admin.put_quotas(&org_quota(json!({"unit": "requests", "window": "hour", "cap": 1}))).await?;
    let first = stage.caller.post(json!({})).await?;
    assert_eq!(first.headers()["x-ratelimit-limit-requests"], "1");
    assert_eq!(first.headers()["x-ratelimit-remaining-requests"], "0");
    let refused = stage.caller.post(json!({})).await?;
    assert_eq!(refused.status().as_u16(), 429);
    assert_eq!(refused.headers()["x-should-retry"], "false");
    let seconds: u64 = refused.headers()["retry-after"].to_str()?.parse()?;
    assert!((3_300..=3_900).contains(&seconds), "{seconds}");
    let body: Value = refused.json().await?;
    assert_eq!(body["error"]["code"], "quota_exceeded");
    assert_eq!(body["error"]["details"]["name"], "org requests/hour");
    Ok(())
}

async fn a_provider_that_fails_costs_no_quota(mode: Mode) -> Result<()> {
    for cap in [1, 64] {
        let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
        stage.org.admin.put_quotas(&org_quota(requests_an_hour(cap))).await?;
        for fault in [json!({"refuse": "reset"}), json!({"status": 500}), json!({"status": 429})] {
            for _ in 0..cap {
                assert!(stage.caller.ask(fault.clone()).await?.0 >= 400);
            }
        }
        assert_eq!(stage.caller.use_up().await?, cap);
    }
    Ok(())
}

fn requests_an_hour(cap: u64) -> Value {
    json!({"unit": "requests", "window": "hour", "cap": cap})
}

/// Far from the cap an isolate holds leases; near it single units. Every unit is given once.
async fn of_a_thousand_requests_for_four_hundred_units_four_hundred_are_admitted(mode: Mode) -> Result<()> {
    const UNITS: u64 = 400;
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    let second = stage.org.admin.mint_key("second", &["call"]).await?;
    let callers = [stage.caller.clone(), Caller { key: second, ..stage.caller.clone() }];
    stage.org.admin.put_quotas(&org_quota(requests_an_hour(UNITS))).await?;
    let mut tasks = JoinSet::new();
    for lane in 0..40 {
        let caller = callers[lane % 2].clone();
        tasks.spawn(async move {
            let mut served = 0;
            for _ in 0..25 {
                served += u64::from(caller.ask(json!({})).await?.0 == 200);
            }
            anyhow::Ok(served)
        });
    }
    let mut served: u64 = tasks.join_all().await.into_iter().sum::<Result<u64>>()?;
    assert!(served <= UNITS, "{served}");
    // What was on lease and not used has come back.
    served += stage.caller.use_up().await?;
    assert_eq!(served, UNITS);
    assert_eq!(stage.calls().counts().started, UNITS);
    stage.usage(UNITS as usize).await?;
    Ok(())
}

/// Quota is given back right after the answer; asks until it is there.
async fn returned(caller: &Caller) -> Result<u16> {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let (status, _) = caller.ask(json!({})).await?;
            if status != 429 {
                return Ok(status);
            }
        }
    })
    .await?
}

async fn calls_at_once_are_capped_and_freed(mode: Mode) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    stage.org.admin.put_quotas(&org_quota(json!({"concurrency": 3}))).await?;
    let mut running = JoinSet::new();
    for _ in 0..3 {
        let caller = stage.caller.clone();
        running.spawn(async move { caller.ask(json!({"wait_for_release": true})).await });
    }
    stage.calls().wait_until(|counts| counts.held == 3, Duration::from_secs(10)).await?;
    let (status, body) = stage.caller.ask(json!({})).await?;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("concurrency_exceeded")));
    stage.bed.provider().release();
    for answer in running.join_all().await {
        assert_eq!(answer?.0, 200);
    }
    assert_eq!(returned(&stage.caller).await?, 200);
    Ok(())
}

async fn an_eviction_between_reserve_and_settle_neither_over_admits_nor_sticks(mode: Mode) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    let quotas = json!([
        {"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 2}},
        {"subject": {"kind": "org"}, "limit": {"concurrency": 1}},
    ]);
    stage.org.admin.put_quotas(&quotas).await?;
    let caller = stage.caller.clone();
    let running = tokio::spawn(async move { caller.ask(json!({"wait_for_release": true})).await });
    stage.calls().wait_until(|counts| counts.held == 1, Duration::from_secs(10)).await?;
    stage.bed.abort_object(&stage.org.id).await?;
    let (status, body) = stage.caller.ask(json!({})).await?;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("concurrency_exceeded")));
    stage.bed.provider().release();
    assert_eq!(running.await??.0, 200);
    assert_eq!(returned(&stage.caller).await?, 200);
    stage.bed.abort_object(&stage.org.id).await?;
    let (status, body) = stage.caller.ask(json!({})).await?;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("quota_exceeded")));
    Ok(())
}

async fn a_clock_that_steps_back_moves_no_window(mode: Mode) -> Result<()> {
    let bed: &'static Bed =
        Box::leak(Box::new(Bed::start(alphagate_bed::Options::default().with_knobs()).await?));
    let stage = Stage::new(bed, mode.config(json!({}))).await?;
    stage.org.admin.put_quotas(&org_quota(json!({"unit": "requests", "window": "minute", "cap": 1}))).await?;
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    for offset_ms in [-3_600_000, -60_000, 0] {
        bed.shift_edge_clock(offset_ms).await?;
        assert_eq!(stage.caller.ask(json!({})).await?.0, 429, "{offset_ms}");
    }
    bed.shift_edge_clock(70_000).await?;
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200);
    Ok(())
}

async fn a_clock_that_steps_is_no_reason_to_go_by_what_was_so_before(mode: Mode) -> Result<()> {
    let bed: &'static Bed =
        Box::leak(Box::new(Bed::start(alphagate_bed::Options::default().with_knobs()).await?));
    let mut offset_ms = 0;
    for step_ms in [-60_000, 60_000] {
        let stage = Stage::new(bed, mode.config(json!({}))).await?;
        stage.caller.call_often().await?;
        stage.org.admin.revoke_key(&stage.caller.key.id).await?;
        // Whatever is left of a lease's second, the step ends it.
        offset_ms += step_ms;
        bed.shift_edge_clock(offset_ms).await?;
        assert_eq!(stage.caller.ask(json!({})).await?.0, 401, "{step_ms}");
    }
    Ok(())
}

async fn the_installs_of_an_endpoint_are_each_under_the_publishers_quota(mode: Mode) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    let limits = json!([{"unit": "requests", "window": "day", "cap": 2}]);
    let body = json!({"installs": {"payer": "publisher", "limits": limits}});
    let path = format!("/v1/endpoints/{}", stage.endpoint);
    let reply = stage.org.admin.call(reqwest::Method::PATCH, &path, Some(&body)).await?;
    assert!(reply.status.is_success(), "{}", reply.body);
    let (_, one) = stage.consumer("one", None).await?;
    let (_, other) = stage.consumer("other", None).await?;
    for caller in [&one, &other] {
        for expected in [200, 200, 429] {
            assert_eq!(caller.ask(json!({})).await?.0, expected);
        }
    }
    Ok(())
}

async fn a_revoked_key_is_refused_from_the_revokes_answer_on_while_kv_still_has_it(mode: Mode) -> Result<()> {
    let bed: &'static Bed =
        Box::leak(Box::new(Bed::start(alphagate_bed::Options::default().with_knobs()).await?));
    let stage = Stage::new(bed, mode.config(json!({}))).await?;
    let revoked = Arc::new(AtomicBool::new(false));
    let (admitted_late, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    stage.puts_pending(|pending| pending == 0).await?;
    // KV answers what it has now, for ever: the record of a good key.
    bed.kv(KvMode::Stale).await?;
    let mut running = JoinSet::new();
    for _ in 0..RUNNING_CALLS {
        let caller = stage.caller.clone();
        running.spawn(async move { caller.ask(json!({"wait_for_release": true})).await });
    }
    stage.calls().wait_until(|counts| counts.held == RUNNING_CALLS as u64, Duration::from_secs(60)).await?;
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (caller, revoked) = (stage.caller.clone(), Arc::clone(&revoked));
        let (admitted_late, done) = (Arc::clone(&admitted_late), Arc::clone(&done));
        callers.spawn(async move {
            loop {
                let after = revoked.load(Ordering::SeqCst);
                let (status, _) = caller.ask(json!({})).await?;
                if after {
                    admitted_late.fetch_add(u64::from(status != 401), Ordering::SeqCst);
                    if done.fetch_add(1, Ordering::SeqCst) > 200 {
                        return anyhow::Ok(());
                    }
                }
            }
        });
    }
    let answer = stage.org.admin.revoke_key(&stage.caller.key.id).await?;
    mode.until_seen().await;
    revoked.store(true, Ordering::SeqCst);
    assert_eq!(answer["enforced"], true, "{answer}");
    for outcome in callers.join_all().await {
        outcome?;
    }
    assert_eq!(admitted_late.load(Ordering::SeqCst), 0);
    bed.provider().release();
    for answer in running.join_all().await {
        assert_eq!(answer.context("a running call")?.0, 200);
    }
    Ok(())
}

async fn a_suspended_org_is_refused_at_once(mode: Mode) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    stage.caller.call_often().await?;
    let path = format!("/operator/v1/orgs/{}", stage.org.id);
    for (suspended, expected) in [(true, 403), (false, 200)] {
        let body = json!({"suspended": suspended});
        let reply = stage.bed.operator()?.call(reqwest::Method::PATCH, &path, Some(&body)).await?;
        assert!(reply.status.is_success(), "{}", reply.body);
        mode.until_seen().await;
        assert_eq!(stage.caller.ask(json!({})).await?.0, expected);
    }
    Ok(())
}

async fn a_publisher_never_pays_for_an_install_without_a_limit(mode: Mode) -> Result<()> {
    let stage = Stage::new(Bed::shared().await?, mode.config(json!({}))).await?;
    let (_, consumer) = stage.consumer("unlimited", None).await?;
    assert_eq!(consumer.ask(json!({})).await?.0, 200);
    // The org's record without its limits, as if they were still on their way.
    let record = json!({
        "key": format!("v1/org/{}", stage.org.id), "revision": 9_000_000_000_000_000_u64,
        "value": {"kind": "org", "suspended": false, "quotas": []},
    });
    stage.push(record).await?;
    let (status, answer) = consumer.ask(json!({})).await?;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("quota_unavailable")));
    assert_eq!(stage.caller.ask(json!({})).await?.0, 200, "the publisher's own calls go on");
    Ok(())
}
