//! Who calls, by the record of the key.
//!
//! Invariant: a key is refused by what is newest. The key of a run that was opened again has a record that an isolate or
//! KV may not have yet; so before it is refused, the org's object is asked, as often as [`ASKED_PER_S_MAX`] allows.

use crate::{
    admit::{self, Purpose},
    clock, config, org_client,
    visit::Visit,
};
use alphagate_contract::{
    key::ApiKey,
    problem::{Code, Problem},
    record::{KeyRecord, Record, RecordKey, RecordValue},
};
use std::{cell::Cell, rc::Rc};

/// Most questions a second, per isolate, about keys that are refused: who holds a revoked key must not be able to keep
/// the org's object busy.
const ASKED_PER_S_MAX: u32 = 20;

thread_local! {
    /// The second that is counted, and the questions in it.
    static ASKED: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
}

/// A key that is what it says.
#[derive(Debug)]
pub struct Identity {
    /// Its record.
    pub record: KeyRecord,
    /// The record's revision.
    pub revision: u64,
}

/// Finds the key's record and compares the key with it.
///
/// # Errors
/// 401 for a key that is unknown, revoked, expired or another's; 403 for one that is not for this purpose; 503 when
/// configuration cannot be read.
pub async fn check(visit: &Visit, key: &ApiKey, purpose: Purpose) -> Result<Identity, Problem> {
    let record = config::get(visit, &RecordKey::Key(key.id)).await?;
    let refusal = match compare(key, record.as_ref(), purpose) {
        Ok(identity) => return Ok(identity),
        Err(refusal) => refusal,
    };
    let Some(record) = record.filter(|record| may_have_been_opened_again(record)) else {
        return Err(refusal);
    };
    if refusal.code != Code::KeyInvalid
        || !may_ask()
        || !org_client::learn_newer_key(visit, key, record.revision).await
    {
        return Err(refusal);
    }
    compare(key, config::get(visit, &RecordKey::Key(key.id)).await?.as_ref(), purpose)
}

fn compare(key: &ApiKey, record: Option<&Rc<Record>>, purpose: Purpose) -> Result<Identity, Problem> {
    let value = record.and_then(|record| match &record.value {
        RecordValue::Key(value) => Some(value),
        _ => None,
    });
    let value = admit::check(key, value, purpose, clock::now_ms())?;
    Ok(Identity { record: value.clone(), revision: record.map_or(0, |record| record.revision) })
}

/// Only the key of a run comes back under its id; one that is gone does not say whose it was.
fn may_have_been_opened_again(record: &Record) -> bool {
    match &record.value {
        RecordValue::Key(value) => value.only.is_some(),
        RecordValue::Gone => true,
        _ => false,
    }
}

fn may_ask() -> bool {
    let second = clock::now_ms() / 1_000;
    let (counted, asked) = ASKED.get();
    let asked = if counted == second { asked } else { 0 };
    ASKED.set((second, asked.saturating_add(1)));
    asked < ASKED_PER_S_MAX
}
