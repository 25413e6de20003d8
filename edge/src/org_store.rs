//! The SQL storage of an org's object: records, the quota book, the ledger.
//!
//! Invariant: what a method writes is one synchronous burst, which the platform makes durable as a whole before
//! any answer leaves the object. What nearly every request asks for is in memory, too, and never differs from the rows.

use alphagate_contract::{
    id::RequestId,
    quota::{
        Subject, Window,
        book::{Book, Reservation},
    },
    record::{Record, RecordKey, RecordValue},
    usage::{Admission, UsageEvent},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{cell::RefCell, collections::HashMap};
use worker::{Result, SqlStorage, SqlStorageValue};

/// A KV put that has to be made.
#[derive(Debug, Deserialize)]
pub struct PendingPut {
    /// The record's key.
    pub key: String,
    /// Its newest revision.
    pub revision: f64,
    /// The record as JSON.
    pub record: String,
    /// How often it failed.
    pub failures: u32,
}

/// A reservation with the beginning of its usage event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Held {
    /// The reservation.
    pub reservation: Reservation,
    /// The usage event's beginning, in the org that called.
    pub admission: Option<Admission>,
    /// Labels of flagged quotas.
    pub flagged: Vec<String>,
}

/// An event that control has not acknowledged.
#[derive(Debug, Deserialize)]
pub struct LedgerRow {
    /// Its place in the ledger.
    pub place: f64,
    /// The event as JSON.
    pub event: String,
}

/// Most records whose revision is in memory: some megabytes of an isolate's 128.
const REVISIONS_MAX: usize = 20_000;
/// Most reservations that are in memory as they were written: some megabytes, far more than run at once.
const HELD_MAX: usize = 5_000;

/// The object's storage.
#[derive(Debug)]
pub struct OrgStore {
    sql: SqlStorage,
    /// Of records that were asked for: every request names four or five, whose rows can be long.
    revisions: RefCell<HashMap<RecordKey, u64>>,
    /// Of open reservations: nearly all are settled within seconds.
    held: RefCell<HashMap<RequestId, Held>>,
}

/// How long a record waits for its KV put, milliseconds, unless the alarm comes before: what is pushed meanwhile goes under the
/// same alarm. No caller is served an outdated record for it, since every request names its revisions to this object.
const PUT_AFTER_MS: u64 = 250;

const SCHEMA: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, revision INTEGER NOT NULL, record TEXT NOT NULL, \
     put_due_ms INTEGER, failures INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS records_due ON records (put_due_ms) WHERE put_due_ms IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS meters (id TEXT PRIMARY KEY, meter TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS reservations (id TEXT PRIMARY KEY, held TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tombstones (id TEXT PRIMARY KEY, ends_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS ledger (place INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL)",
];

impl OrgStore {
    /// Opens the storage, making its tables the first time.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn open(sql: SqlStorage) -> Result<Self> {
        for table in SCHEMA {
            sql.exec(table, None)?;
        }
        Ok(Self { sql, revisions: RefCell::default(), held: RefCell::default() })
    }

    fn rows<T: DeserializeOwned>(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<Vec<T>> {
        self.sql.exec(query, values)?.to_array()
    }

    fn run(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<()> {
        self.sql.exec(query, values).map(drop)
    }

    /// The quota book as it was stored. Its clock starts at the youngest bucket, which is as exact as the
    /// arithmetic is.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn book(&self) -> Result<Book> {
        #[derive(Deserialize)]
        struct Meter {
            id: String,
            meter: String,
        }
        #[derive(Deserialize)]
        struct Row {
            id: String,
            held: String,
        }
        #[derive(Deserialize)]
        struct Tombstone {
            id: String,
            ends_ms: f64,
        }
        let meters: Vec<Meter> = self.rows("SELECT id, meter FROM meters", vec![])?;
        let held: Vec<Row> = self.rows("SELECT id, held FROM reservations", vec![])?;
        let tombstones: Vec<Tombstone> = self.rows("SELECT id, ends_ms FROM tombstones", vec![])?;
        let open: Vec<(RequestId, Reservation)> = held
            .iter()
            .filter_map(|row| Some((row.id.parse().ok()?, read::<Held>(&row.held)?.reservation)))
            .collect();
        let latest = open.iter().map(|(_, reservation)| reservation.at_ms).max();
        Ok(Book::load(
            latest.unwrap_or(0),
            meters.iter().filter_map(|row| Some((read(&row.id)?, read(&row.meter)?))),
            open,
            tombstones.iter().filter_map(|row| Some((row.id.parse().ok()?, row.ends_ms as u64))),
        ))
    }

    /// Writes what changed in the book, except new reservations ([`Self::hold`] writes those).
    ///
    /// # Errors
    /// When SQL fails.
    pub fn save(&self, book: &mut Book) -> Result<()> {
        let changes = book.take_changes();
        for key in &changes.meters {
            self.save_meter(book, key)?;
        }
        for id in changes.reservations {
            if book.reservation(id).is_none() {
                self.held.borrow_mut().remove(&id);
                self.run("DELETE FROM reservations WHERE id = ?", vec![id.to_string().into()])?;
            }
        }
        for id in changes.tombstones {
            let id_text = id.to_string();
            match book.tombstone(id) {
                Some(ends_ms) => self.run(
                    "INSERT OR REPLACE INTO tombstones (id, ends_ms) VALUES (?, ?)",
                    vec![id_text.into(), integer(ends_ms)],
                )?,
                None => self.run("DELETE FROM tombstones WHERE id = ?", vec![id_text.into()])?,
            }
        }
        Ok(())
    }

    fn save_meter(&self, book: &Book, key: &(Subject, Window)) -> Result<()> {
        let id = write(key)?;
        match book.meter(key) {
            Some(meter) => self.run(
                "INSERT OR REPLACE INTO meters (id, meter) VALUES (?, ?)",
                vec![id.into(), write(meter)?.into()],
            ),
            None => self.run("DELETE FROM meters WHERE id = ?", vec![id.into()]),
        }
    }

    /// Writes a new reservation.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn hold(&self, id: RequestId, held: Held) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO reservations (id, held) VALUES (?, ?)",
            vec![id.to_string().into(), write(&held)?.into()],
        )?;
        let mut all = self.held.borrow_mut();
        if all.len() >= HELD_MAX {
            all.clear();
        }
        all.insert(id, held);
        Ok(())
    }

    /// A stored reservation.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn held(&self, id: RequestId) -> Result<Option<Held>> {
        #[derive(Deserialize)]
        struct Row {
            held: String,
        }
        if let Some(held) = self.held.borrow().get(&id) {
            return Ok(Some(held.clone()));
        }
        let rows: Vec<Row> =
            self.rows("SELECT held FROM reservations WHERE id = ?", vec![id.to_string().into()])?;
        Ok(rows.first().and_then(|row| read(&row.held)))
    }

    /// The newest revision of a record that the object has.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn record(&self, key: &RecordKey) -> Result<Option<Record>> {
        #[derive(Deserialize)]
        struct Row {
            record: String,
        }
        let rows: Vec<Row> =
            self.rows("SELECT record FROM records WHERE key = ?", vec![key.to_string().into()])?;
        Ok(rows.first().and_then(|row| read(&row.record)))
    }

    /// The records of those keys that are newer here than the revision given.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn newer(&self, seen: &[(RecordKey, u64)]) -> Result<Vec<Record>> {
        let mut newer = Vec::new();
        for (key, revision) in seen {
            if self.revision(key)? > *revision {
                newer.extend(self.record(key)?);
            }
        }
        Ok(newer)
    }

    /// The newest revision of a record that the object has; 0 if there is none.
    fn revision(&self, key: &RecordKey) -> Result<u64> {
        #[derive(Deserialize)]
        struct Row {
            revision: f64,
        }
        if let Some(revision) = self.revisions.borrow().get(key) {
            return Ok(*revision);
        }
        let rows: Vec<Row> =
            self.rows("SELECT revision FROM records WHERE key = ?", vec![key.to_string().into()])?;
        let Some(row) = rows.first() else { return Ok(0) };
        let revision = row.revision as u64;
        self.remember(key, revision);
        Ok(revision)
    }

    /// Only what has a row: who asks for names that are not there fills nothing.
    fn remember(&self, key: &RecordKey, revision: u64) {
        let mut revisions = self.revisions.borrow_mut();
        if revisions.len() >= REVISIONS_MAX {
            revisions.clear();
        }
        revisions.insert(key.clone(), revision);
    }

    /// Keeps a record if it is newer than what is here, and notes that KV has to be told. False: it is not newer.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn keep(&self, record: &Record, now_ms: u64) -> Result<bool> {
        if self.revision(&record.key)? >= record.revision {
            return Ok(false);
        }
        let due = match record.value {
            RecordValue::Org(_) => SqlStorageValue::Null,
            _ => integer(now_ms.saturating_add(PUT_AFTER_MS)),
        };
        let values =
            vec![record.key.to_string().into(), integer(record.revision), write(record)?.into(), due];
        self.run(
            "INSERT OR REPLACE INTO records (key, revision, record, put_due_ms, failures) VALUES (?, ?, ?, ?, 0)",
            values,
        )?;
        self.remember(&record.key, record.revision);
        Ok(true)
    }

    /// Records whose KV put is due or may be made already, oldest first.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn due_puts(&self, now_ms: u64, most: u32) -> Result<Vec<PendingPut>> {
        self.rows(
            "SELECT key, revision, record, failures FROM records WHERE put_due_ms <= ? ORDER BY put_due_ms LIMIT ?",
            vec![integer(now_ms.saturating_add(PUT_AFTER_MS)), integer(u64::from(most))],
        )
    }

    /// A put was made: nothing is due any more, unless the record has changed meanwhile.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn put_made(&self, put: &PendingPut) -> Result<()> {
        self.run(
            "UPDATE records SET put_due_ms = NULL, failures = 0 WHERE key = ? AND revision = ?",
            vec![put.key.as_str().into(), put.revision.into()],
        )
    }

    /// A put failed: it may be made again from then on.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn put_failed(&self, put: &PendingPut, from_ms: u64) -> Result<()> {
        self.run(
            "UPDATE records SET put_due_ms = ?, failures = failures + 1 WHERE key = ? AND revision = ?",
            vec![integer(from_ms.saturating_add(PUT_AFTER_MS)), put.key.as_str().into(), put.revision.into()],
        )
    }

    /// When the next put is due, and how many are.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn puts(&self) -> Result<(usize, Option<u64>)> {
        #[derive(Deserialize)]
        struct Row {
            pending: f64,
            due_ms: Option<f64>,
        }
        let rows: Vec<Row> = self.rows(
            "SELECT COUNT(*) AS pending, MIN(put_due_ms) AS due_ms FROM records WHERE put_due_ms IS NOT NULL",
            vec![],
        )?;
        let row = rows.first();
        let count = row.map_or(0, |row| row.pending as usize);
        Ok((count, row.and_then(|row| row.due_ms).map(|ms| ms as u64)))
    }

    /// All records whose key begins with `prefix`.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn with_prefix(&self, prefix: &str) -> Result<Vec<Record>> {
        #[derive(Deserialize)]
        struct Row {
            record: String,
        }
        // '0' is the character after '/': the range holds exactly the keys below the prefix.
        let end = format!("{}0", prefix.trim_end_matches('/'));
        let rows: Vec<Row> = self.rows(
            "SELECT record FROM records WHERE key >= ? AND key < ? ORDER BY key",
            vec![prefix.into(), end.into()],
        )?;
        Ok(rows.iter().filter_map(|row| read(&row.record)).collect())
    }

    /// Appends an event to the ledger.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn append(&self, event: &UsageEvent) -> Result<()> {
        self.run("INSERT INTO ledger (event) VALUES (?)", vec![write(event)?.into()])
    }

    /// The oldest events of the ledger.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn oldest_events(&self, most: usize) -> Result<Vec<LedgerRow>> {
        self.rows("SELECT place, event FROM ledger ORDER BY place LIMIT ?", vec![integer(most as u64)])
    }

    /// Forgets events that control has acknowledged.
    ///
    /// # Errors
    /// When SQL fails.
    pub fn acknowledge(&self, up_to_place: f64) -> Result<()> {
        self.run("DELETE FROM ledger WHERE place <= ?", vec![up_to_place.into()])
    }
}

/// SQL numbers are JavaScript's: exact to 2^53, which milliseconds and revisions stay below.
fn integer(value: u64) -> SqlStorageValue {
    SqlStorageValue::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn write<T: Serialize>(value: &T) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}
