//! The isolate's memory of records: what KV said last, how long ago, and how large.
//!
//! Invariant: an older revision never replaces a newer one, and the memory stays within its bounds.

use alphagate_contract::record::{Record, RecordKey};
use std::{collections::HashMap, rc::Rc};

/// Most entries; at a few hundred bytes each, some megabytes.
const ENTRIES_MAX: usize = 20_000;
/// Most bytes of record text held; an isolate has 128 MB in all.
const BYTES_MAX: usize = 12 * 1024 * 1024;

/// What is remembered under a key.
#[derive(Debug, Clone)]
pub enum Known {
    /// The record.
    Record(Rc<Record>),
    /// There was none.
    Missing,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    read_ms: u64,
    bytes: usize,
}

/// Records by key.
#[derive(Debug, Default)]
pub struct Memory {
    entries: HashMap<RecordKey, Entry>,
    bytes: usize,
}

impl Memory {
    /// What is remembered, if it was read at most `age_max_ms` before `now_ms`. Versions never change, so they
    /// never age.
    pub fn get(&self, key: &RecordKey, now_ms: u64, age_max_ms: u64) -> Option<Known> {
        let entry = self.entries.get(key)?;
        let immutable = matches!((key, &entry.known), (RecordKey::Version(..), Known::Record(_)));
        let young = now_ms.saturating_sub(entry.read_ms) < age_max_ms;
        (immutable || young).then(|| entry.known.clone())
    }

    /// Remembers a record of `bytes` of text, and answers the newest one known.
    pub fn learn(&mut self, record: Record, bytes: usize, now_ms: u64) -> Rc<Record> {
        let newest = match self.entries.get(&record.key) {
            Some(Entry { known: Known::Record(old), .. }) if old.revision >= record.revision => {
                Rc::clone(old)
            }
            _ => Rc::new(record),
        };
        self.put(newest.key.clone(), Known::Record(Rc::clone(&newest)), bytes, now_ms);
        newest
    }

    /// Remembers that there is no record. What was known before stays known: a store may have lost it for a while.
    pub fn learn_missing(&mut self, key: &RecordKey, now_ms: u64) {
        if !self.entries.contains_key(key)
            || self.get(key, now_ms, u64::MAX).is_some_and(|k| matches!(k, Known::Missing))
        {
            self.put(key.clone(), Known::Missing, 0, now_ms);
        }
    }

    /// Forgets a record that control says is not there.
    pub fn forget(&mut self, key: &RecordKey) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }

    fn put(&mut self, key: RecordKey, known: Known, bytes: usize, now_ms: u64) {
        self.forget(&key);
        if self.entries.len() >= ENTRIES_MAX || self.bytes + bytes > BYTES_MAX {
            // Simple and rare: everything is in KV, one read away.
            self.entries.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.entries.insert(key, Entry { known, read_ms: now_ms, bytes });
    }
}

impl Known {
    /// The record, which may say that what it is about is gone.
    #[must_use]
    pub fn record(self) -> Option<Rc<Record>> {
        match self {
            Self::Record(record) => Some(record),
            Self::Missing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphagate_contract::{
        id::{EndpointId, OrgId},
        record::{LiveRecord, RecordValue},
    };

    fn live(revision: u64) -> Record {
        let publisher = OrgId::new(0, [1; 10]);
        let value =
            RecordValue::Live(LiveRecord { publisher, version: Some(1), withdrawn: false, canary: None });
        Record { key: RecordKey::Live(EndpointId::new(0, [1; 10])), revision, value }
    }

    #[test]
    fn older_never_replaces_newer_and_age_counts() {
        let mut memory = Memory::default();
        let key = live(1).key;
        assert_eq!(memory.learn(live(5), 10, 1_000).revision, 5);
        assert_eq!(memory.learn(live(4), 10, 2_000).revision, 5);
        assert!(memory.get(&key, 2_999, 1_000).is_some());
        assert!(memory.get(&key, 3_000, 1_000).is_none());
        memory.learn_missing(&key, 4_000);
        assert!(memory.get(&key, 4_000, u64::MAX).is_some_and(|known| known.record().is_some()));
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();
        for n in 0..100u8 {
            let record = Record { key: RecordKey::Live(EndpointId::new(u64::from(n), [n; 10])), ..live(1) };
            memory.learn(record, 1024 * 1024, 0);
            assert!(memory.bytes <= BYTES_MAX);
        }
    }
}
