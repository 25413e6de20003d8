//! What an org's object does by itself: KV puts, and usage handed to control.
//!
//! Invariant: only the alarm puts into KV, and an object has one alarm at a time, so a put is never overtaken by
//! an older one. An event leaves the ledger only after control has acknowledged it.

use crate::{
    clock, control,
    org_store::{OrgStore, PendingPut},
    settings::Settings,
};
use alphagate_contract::usage::{USAGE_BATCH_MAX, UsageBatch, UsageEvent};
use futures_util::future::join;
use worker::{Env, Method, Result, console_error};

/// Most KV puts of one alarm: a Worker may make 1,000 subrequests in all.
const PUTS_MAX: u32 = 200;
/// Most usage batches of one alarm; with more, the next alarm follows at once.
const BATCHES_MAX: u32 = 20;
/// First wait after a failure, milliseconds: KV takes one put a second for each key.
const BACKOFF_MIN_MS: u64 = 1_000;
/// Longest wait after failures, milliseconds.
const BACKOFF_MAX_MS: u64 = 30_000;
/// Life of a tombstone in KV, seconds: far longer than any cache or old isolate.
const GONE_TTL_S: u64 = 30 * 24 * 60 * 60;

/// Does what is due. Answers when there is something to do again.
///
/// # Errors
/// When SQL fails; the platform then repeats the alarm.
pub async fn run(store: &OrgStore, env: &Env, settings: &Settings) -> Result<Option<u64>> {
    let (put, handed_over) = join(put_due(store, env), hand_over(store, settings)).await;
    put?;
    let ledger_due_ms = handed_over?;
    let (_, put_due_ms) = store.puts()?;
    Ok([ledger_due_ms, put_due_ms].into_iter().flatten().min())
}

async fn put_due(store: &OrgStore, env: &Env) -> Result<()> {
    let kv = env.kv("CONFIG")?;
    for put in store.due_puts(clock::now_ms(), PUTS_MAX)? {
        let gone = put.record.contains("\"kind\":\"gone\"");
        let mut request = kv.put(&put.key, &put.record).map_err(worker::Error::from)?;
        if gone {
            request = request.expiration_ttl(GONE_TTL_S);
        }
        match request.execute().await {
            Ok(()) => store.put_made(&put)?,
            Err(error) => {
                console_error!("KV put of {} failed: {error:?}", put.key);
                store.put_failed(&put, clock::now_ms() + backoff_ms(&put))?;
            }
        }
    }
    Ok(())
}

fn backoff_ms(put: &PendingPut) -> u64 {
    BACKOFF_MIN_MS.saturating_mul(1 << put.failures.min(10)).min(BACKOFF_MAX_MS)
}

async fn hand_over(store: &OrgStore, settings: &Settings) -> Result<Option<u64>> {
    for _ in 0..BATCHES_MAX {
        let rows = store.oldest_events(USAGE_BATCH_MAX)?;
        let Some(last) = rows.last().map(|row| row.place) else { return Ok(None) };
        let events: Vec<UsageEvent> =
            rows.iter().filter_map(|row| serde_json::from_str(&row.event).ok()).collect();
        let Some(org) = events.first().map(|event| event.admission.org) else { return Ok(None) };
        let body = serde_json::to_string(&UsageBatch { org, events })?;
        let answer = control::call(settings, Method::Post, "/internal/v1/usage", &body, "").await;
        if answer.is_none_or(|answer| answer.status != 200) {
            return Ok(Some(clock::now_ms() + BACKOFF_MIN_MS + settings.ledger_flush_ms));
        }
        store.acknowledge(last)?;
    }
    Ok(Some(clock::now_ms()))
}
