//! Which kept response an item belongs to: one index for an org, in an object of its own.
//!
//! Invariant: what is past its time is not found; of items of the same id the last one noted is.

use crate::clock;
use serde::{Deserialize, Serialize};
use worker::{Result, SqlStorage, SqlStorageValue};

/// The index's table.
pub const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS items (id TEXT NOT NULL PRIMARY KEY, response TEXT NOT NULL, \
    expires_ms INTEGER NOT NULL) WITHOUT ROWID";

/// Items of a response.
#[derive(Debug, Serialize, Deserialize)]
pub struct Noted {
    /// Their ids.
    pub items: Vec<String>,
    /// The response's.
    pub response: String,
    /// When it is deleted, Unix milliseconds.
    pub expires_ms: u64,
}

/// Notes whose they are.
///
/// # Errors
/// When the storage fails.
pub fn note(sql: &SqlStorage, noted: &Noted) -> Result<bool> {
    for item in &noted.items {
        let values: Vec<SqlStorageValue> = vec![
            SqlStorageValue::String(item.clone()),
            SqlStorageValue::String(noted.response.clone()),
            SqlStorageValue::Float(noted.expires_ms as f64),
        ];
        sql.exec("INSERT OR REPLACE INTO items (id, response, expires_ms) VALUES (?, ?, ?)", values)?;
    }
    Ok(true)
}

/// The items that are known, each with its response.
///
/// # Errors
/// When the storage fails.
pub fn find(sql: &SqlStorage, items: Vec<String>) -> Result<Vec<(String, String)>> {
    #[derive(Deserialize)]
    struct Row {
        response: String,
    }
    let mut found = Vec::new();
    for item in items {
        let values: Vec<SqlStorageValue> =
            vec![SqlStorageValue::String(item.clone()), SqlStorageValue::Float(clock::now_ms() as f64)];
        let query = "SELECT response FROM items WHERE id = ? AND expires_ms > ?";
        let rows: Vec<Row> = sql.exec(query, values)?.to_array()?;
        found.extend(rows.into_iter().next().map(|row| (item, row.response)));
    }
    Ok(found)
}
