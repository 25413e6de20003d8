//! Reads configuration: isolate memory, then KV, then (bounded) control. The only place that reads KV.
//!
//! Invariant: a record is served from memory while KV and control fail, for its stated life and no longer; what
//! was never known is never admitted.

use crate::{
    clock, control,
    memory::{Known, Memory},
    visit::Visit,
};
use alphagate_contract::{
    problem::{Code, Problem},
    record::{Record, RecordKey},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use worker::Method;

/// Most reads of control at once per isolate: a KV that has lost everything must not become a flood.
const READ_THROUGH_MAX: u32 = 32;

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
    static READING: Cell<u32> = const { Cell::new(0) };
}

enum Fetched {
    Record(Box<Record>, usize),
    Missing,
    Failed,
}

/// The newest record known under this key, which may say that the thing is gone; `None` if there never was one.
///
/// # Errors
/// 503 `config_unavailable` when neither KV nor control can say and memory is too old.
pub async fn get(visit: &Visit, key: &RecordKey) -> Result<Option<Rc<Record>>, Problem> {
    let settings = &visit.settings;
    if let Some(known) = recall(key, settings.record_fresh_ms) {
        return Ok(known.record());
    }
    let fetched = match from_kv(visit, key).await {
        Fetched::Record(record, bytes) => Fetched::Record(record, bytes),
        Fetched::Missing | Fetched::Failed => from_control(visit, key).await,
    };
    let now_ms = clock::now_ms();
    match fetched {
        Fetched::Record(record, bytes) => {
            let newest = MEMORY.with_borrow_mut(|memory| memory.learn(*record, bytes, now_ms));
            Ok(Some(newest))
        }
        Fetched::Missing => {
            MEMORY.with_borrow_mut(|memory| {
                memory.forget(key);
                memory.learn_missing(key, now_ms);
            });
            Ok(None)
        }
        Fetched::Failed => match recall(key, settings.record_stale_max_ms) {
            Some(Known::Record(record)) => Ok(Some(record)),
            _ => Err(Problem::new(Code::ConfigUnavailable).retry_after_ms(1_000)),
        },
    }
}

/// Remembers newer records that an org's object told of.
pub fn learn(records: Vec<Record>) {
    let now_ms = clock::now_ms();
    MEMORY.with_borrow_mut(|memory| {
        for record in records {
            let bytes = serde_json::to_string(&record).map_or(0, |text| text.len());
            memory.learn(record, bytes, now_ms);
        }
    });
}

fn recall(key: &RecordKey, age_max_ms: u64) -> Option<Known> {
    MEMORY.with_borrow(|memory| memory.get(key, clock::now_ms(), age_max_ms))
}

async fn from_kv(visit: &Visit, key: &RecordKey) -> Fetched {
    let Ok(kv) = visit.env.kv("CONFIG") else { return Fetched::Failed };
    match kv.get(&key.to_string()).text().await {
        Ok(Some(text)) => read(key, &text),
        Ok(None) => Fetched::Missing,
        Err(_) => Fetched::Failed,
    }
}

async fn from_control(visit: &Visit, key: &RecordKey) -> Fetched {
    if READING.get() >= READ_THROUGH_MAX {
        return Fetched::Failed;
    }
    READING.set(READING.get() + 1);
    let path = format!("/internal/v1/records/{key}");
    let answer = control::call(&visit.settings, Method::Get, &path, "", &visit.id.to_string()).await;
    READING.set(READING.get().saturating_sub(1));
    match answer {
        Some(answer) if answer.status == 200 => read(key, &answer.body),
        Some(answer) if answer.status == 404 => Fetched::Missing,
        _ => Fetched::Failed,
    }
}

fn read(key: &RecordKey, text: &str) -> Fetched {
    match serde_json::from_str::<Box<Record>>(text) {
        Ok(record) if record.key == *key => Fetched::Record(record, text.len()),
        _ => Fetched::Failed,
    }
}
