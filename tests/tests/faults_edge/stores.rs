//! KV, control and objects that lie, are away, or are slow (E16, E17, E18, E20, E25).

use std::time::{Duration, Instant};

use alphagate_bed::KvMode;
use alphagate_tests::{Caller, Mode, Stage, in_both_modes, until};
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{FRESH_MS, OBJECT_TIMEOUT_MS, PATIENCE, STALE_MAX_MS, Troubled};

in_both_modes! {
    e16_kv_that_lags_neither_revives_a_key_nor_an_old_version,
    e16_kv_that_lags_refuses_nothing_that_is_live_by_now,
    e20_an_object_that_is_slow_is_503_within_two_seconds_and_admits_nothing,
    e25_a_reserve_that_landed_after_its_time_is_cancelled_and_costs_nothing,
}

async fn served(stage: &Stage) -> Result<Value> {
    let (status, body) = stage.caller.ask(json!({})).await?;
    anyhow::ensure!(status == 200, "{status}: {body}");
    let seen = stage.calls().requests().pop().and_then(|seen| seen.json()).context("no call")?;
    Ok(seen["instructions"].clone())
}

async fn code(caller: &Caller) -> Result<(u16, String)> {
    let (status, body) = caller.ask(json!({})).await?;
    Ok((status, body["error"]["code"].as_str().unwrap_or_default().to_owned()))
}

/// Lets records in memory grow old enough to be asked for again.
async fn let_memory_age(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms + 50)).await;
}

async fn e16_kv_that_lags_neither_revives_a_key_nor_an_old_version(mode: Mode) -> Result<()> {
    let troubled = Troubled::alone().await?;
    let bed = troubled.bed;
    let stage = Stage::new(bed, mode.config(json!({"instructions": "one"}))).await?;
    let second = stage.add_version(mode.config(json!({"instructions": "two"}))).await?;
    let other = stage.org.admin.mint_key("other", &["call"]).await?;
    let other = Caller { key: other, ..stage.caller.clone() };
    assert_eq!(served(&stage).await?, "one");
    stage.caller.call_often().await?;
    other.call_often().await?;
    bed.kv(KvMode::Stale).await?;
    stage.org.admin.publish(&stage.endpoint, second, Some(1)).await?;
    stage.org.admin.revoke_key(&other.key.id).await?;
    mode.until_seen().await;
    let answer = stage.caller.post(json!({})).await?;
    let asked_again = answer.headers()["x-request-id"].to_str()?.to_owned();
    answer.error_for_status()?.bytes().await?;
    // Each round asks KV again, which goes on telling of the old version and the good key.
    for _ in 0..3 {
        assert_eq!(served(&stage).await?, "two");
        assert_eq!(code(&other).await?, (401, "invalid_api_key".into()));
        let_memory_age(FRESH_MS).await;
    }
    // Its plan was outdated and made anew: its event is found by its id all the same.
    until("the event of a request whose plan was outdated", PATIENCE, async || {
        let events = stage.org.admin.usage().await?;
        Ok(events.iter().any(|event| event["id"] == asked_again.as_str()).then_some(()))
    })
    .await?;
    Ok(())
}

async fn e16_kv_that_lags_refuses_nothing_that_is_live_by_now(mode: Mode) -> Result<()> {
    let troubled = Troubled::alone().await?;
    let bed = troubled.bed;
    let stage = Stage::new(bed, mode.config(json!({}))).await?;
    let admin = &stage.org.admin;
    let late = admin.create_endpoint(&json!({"name": "late", "visibility": "private"})).await?;
    let target =
        json!({"base_url": bed.provider().base_url(), "model": stage.model, "credential": stage.credential});
    admin.create_version(&late, &mode.config(json!({"targets": [target]}))).await?;
    let second = stage.add_version(mode.config(json!({"allow": {"background": true}}))).await?;
    let late_caller = Caller { name: "late".into(), ..stage.caller.clone() };
    let background =
        async || Ok::<_, anyhow::Error>(stage.caller.post(json!({"background": true})).await?.status());
    assert_eq!((code(&late_caller).await?.0, background().await?.as_u16()), (404, 400));
    stage.puts_pending(|pending| pending == 0).await?;
    bed.kv(KvMode::Stale).await?;
    admin.publish(&late, 1, None).await?;
    admin.publish(&stage.endpoint, second, Some(1)).await?;
    for _ in 0..3 {
        assert_eq!((code(&late_caller).await?.0, background().await?.as_u16()), (200, 200));
        let_memory_age(FRESH_MS).await;
    }
    Ok(())
}

#[tokio::test]
async fn e17_while_kv_fails_what_is_known_is_served_for_its_life_and_what_is_not_is_not() -> Result<()> {
    let troubled = Troubled::alone().await?;
    let bed = troubled.bed;
    for mode in [KvMode::Refusing, KvMode::Empty] {
        bed.start_control().await?;
        bed.kv(KvMode::Normal).await?;
        let stage = Stage::new(bed, json!({"instructions": "one"})).await?;
        let cold = stage.org.admin.mint_key("cold", &["call"]).await?;
        let cold = Caller { key: cold, ..stage.caller.clone() };
        bed.kv(mode).await?;
        // Control answers in KV's place.
        assert_eq!(served(&stage).await?, "one", "{mode:?}");
        bed.stop_control().await;
        let known = Instant::now();
        while known.elapsed() < Duration::from_millis(STALE_MAX_MS / 2) {
            assert_eq!(served(&stage).await?, "one", "{mode:?}");
            assert_eq!(
                code(&cold).await?,
                (503, "config_unavailable".into()),
                "{mode:?}: a key that nobody knows"
            );
            let_memory_age(FRESH_MS).await;
        }
        let_memory_age(STALE_MAX_MS / 2).await;
        assert_eq!(code(&stage.caller).await?, (503, "config_unavailable".into()), "{mode:?}");
        bed.kv(KvMode::Normal).await?;
        assert_eq!(served(&stage).await?, "one", "{mode:?}: healed");
    }
    Ok(())
}

#[tokio::test]
async fn e17_a_put_that_kv_refuses_is_made_again() -> Result<()> {
    let troubled = Troubled::alone().await?;
    let bed = troubled.bed;
    let stage = Stage::new(bed, json!({"instructions": "one"})).await?;
    stage.puts_pending(|pending| pending == 0).await?;
    let before = bed.edge_counts().await?.kv_puts;
    bed.kv(KvMode::PutsRefused).await?;
    let second = stage.add_version(json!({"instructions": "two"})).await?;
    stage.org.admin.publish(&stage.endpoint, second, Some(1)).await?;
    let tried = async || Ok((bed.edge_counts().await?.kv_puts > before).then_some(()));
    until("a put that is refused", PATIENCE, tried).await?;
    stage.puts_pending(|pending| pending > 0).await?;
    assert_eq!(served(&stage).await?, "two", "what KV refused is known all the same");
    bed.kv(KvMode::Normal).await?;
    stage.puts_pending(|pending| pending == 0).await?;
    // Only KV can tell a new isolate of a version while control is away.
    bed.stop_control().await;
    bed.restart_edge().await?;
    assert_eq!(served(&stage).await?, "two");
    Ok(())
}

#[tokio::test]
async fn e18_endpoints_that_were_called_are_served_while_control_is_away() -> Result<()> {
    let troubled = Troubled::alone().await?;
    let bed = troubled.bed;
    let stage = Stage::new(bed, json!({"instructions": "one"})).await?;
    assert_eq!(served(&stage).await?, "one");
    bed.stop_control().await;
    let away = Instant::now();
    while away.elapsed() < Duration::from_millis(2 * STALE_MAX_MS) {
        assert_eq!(served(&stage).await?, "one");
        assert_eq!(
            stage.caller.stream(json!({})).await?.last().map(|e| e.name.clone()),
            Some("response.completed".into())
        );
        let_memory_age(FRESH_MS).await;
    }
    let number = stage.calls().counts().started as usize;
    bed.start_control().await?;
    stage.usage(number).await?;
    Ok(())
}

async fn e20_an_object_that_is_slow_is_503_within_two_seconds_and_admits_nothing(mode: Mode) -> Result<()> {
    let troubled = Troubled::alone().await?;
    let bed = troubled.bed;
    let stage = Stage::new(bed, mode.config(json!({}))).await?;
    let (_, consumer) = stage.consumer("theirs", None).await?;
    for caller in [&stage.caller, &consumer] {
        assert_eq!(code(caller).await?.0, 200);
    }
    bed.delay_object_ms(3 * OBJECT_TIMEOUT_MS).await?;
    let before = stage.calls().counts().started;
    for caller in [&stage.caller, &consumer] {
        let start = Instant::now();
        let answer = caller.post(json!({})).await?;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(answer.status().as_u16(), 503);
        let retry_after: u64 = answer.headers()["retry-after"].to_str()?.parse()?;
        assert!(retry_after >= 1);
        let body: Value = answer.json().await?;
        assert_eq!(body["error"]["code"], "quota_unavailable");
    }
    assert_eq!(stage.calls().counts().started, before);
    bed.delay_object_ms(0).await?;
    for caller in [&stage.caller, &consumer] {
        assert_eq!(code(caller).await?.0, 200);
    }
    Ok(())
}

async fn e25_a_reserve_that_landed_after_its_time_is_cancelled_and_costs_nothing(mode: Mode) -> Result<()> {
    let troubled = Troubled::alone().await?;
    let bed = troubled.bed;
    let stage = Stage::new(bed, mode.config(json!({}))).await?;
    let quotas = json!([
        {"subject": {"kind": "org"}, "limit": {"unit": "requests", "window": "hour", "cap": 1}},
        {"subject": {"kind": "org"}, "limit": {"concurrency": 1}},
    ]);
    stage.org.admin.put_quotas(&quotas).await?;
    stage.puts_pending(|pending| pending == 0).await?;
    bed.delay_object_ms(OBJECT_TIMEOUT_MS + 500).await?;
    assert_eq!(code(&stage.caller).await?, (503, "quota_unavailable".into()));
    bed.delay_object_ms(0).await?;
    let admitted = until("the cancelled unit is free", PATIENCE, async || {
        let (status, code) = code(&stage.caller).await?;
        Ok((status != 429).then_some((status, code)))
    });
    assert_eq!(admitted.await?, (200, String::new()));
    let events = stage.usage(1).await?;
    assert_eq!(events[0]["outcome"], "completed");
    assert_eq!(code(&stage.caller).await?, (429, "quota_exceeded".into()), "and it was the last unit");
    Ok(())
}
