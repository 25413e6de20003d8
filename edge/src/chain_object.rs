//! The Durable Object of one conversation chain: the responses that callers asked to keep, each with the items that it
//! was asked with.
//!
//! Invariant: what is past its time is never shown, and the alarm deletes it; an object in which nothing is left has no
//! storage. A response stands here once, whole, with a pointer to the one that it continues; so branches share it.

use crate::{
    chain_index::{self, Noted},
    clock, conversation,
};
use alphagate_contract::id::EndpointId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::cell::Cell;
use worker::{
    DurableObject, Env, Request, Response, Result, SqlStorage, SqlStorageValue, State, durable_object,
};

/// Most items that a conversation may have when it is continued.
pub const HISTORY_MAX_ITEMS: usize = 2_000;
/// Most bytes of items that a conversation may have when it is continued: a third of the largest body.
pub const HISTORY_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Most responses of one chain, its branches included.
const RESPONSES_MAX: u32 = 10_000;
/// Most bytes of text in one row: the platform takes 2 MB.
const ROW_MAX_BYTES: usize = 1024 * 1024;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS kept (id TEXT NOT NULL, part INTEGER NOT NULL, \
    expires_ms INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (id, part)) WITHOUT ROWID";

/// A response as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// The response that it continues.
    pub previous: Option<String>,
    /// The endpoint that served it.
    pub endpoint: EndpointId,
    /// The name that the caller used.
    pub model: String,
    /// When it is deleted, Unix milliseconds.
    pub expires_ms: u64,
    /// The response object, as the caller saw it.
    pub response: Box<RawValue>,
    /// The output items of it.
    pub output: Vec<Box<RawValue>>,
    /// The input items that came with the request itself.
    pub input: Vec<Box<RawValue>>,
}

/// Which response is meant.
#[derive(Debug, Serialize, Deserialize)]
pub struct Which {
    /// Its id.
    pub id: String,
}

/// Items of one response.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pick {
    /// The response's id.
    pub id: String,
    /// The items'.
    pub items: Vec<String>,
}

/// Those of them that are there.
#[derive(Debug, Serialize, Deserialize)]
pub struct Picked {
    /// The response's endpoint; none: the response is not there.
    pub endpoint: Option<EndpointId>,
    /// The items.
    pub items: Vec<Box<RawValue>>,
}

/// A conversation up to a response.
#[derive(Debug, Serialize, Deserialize)]
pub struct History {
    /// The endpoint; none: the response, or one before it, is not there.
    pub endpoint: Option<EndpointId>,
    /// Whether it has more than may be continued. It has no items then.
    pub too_long: bool,
    /// All items, oldest first.
    pub items: Vec<Box<RawValue>>,
}

impl History {
    const fn empty(too_long: bool) -> Self {
        Self { endpoint: None, too_long, items: Vec::new() }
    }
}

/// The Durable Object.
#[durable_object]
pub struct ChainObject {
    state: State,
    open: Cell<bool>,
}

impl DurableObject for ChainObject {
    fn new(state: State, _env: Env) -> Self {
        Self { state, open: Cell::new(false) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let body = request.text().await?;
        match request.path().as_str() {
            "/keep" => reply(&self.keep(&serde_json::from_str(&body)?, &body).await?),
            "/read" => reply(&self.read(&serde_json::from_str::<Which>(&body)?.id)?),
            "/history" => reply(&self.history(&serde_json::from_str::<Which>(&body)?.id)?),
            "/pick" => reply(&self.pick(&serde_json::from_str(&body)?)?),
            "/note" => reply(&self.note(&serde_json::from_str(&body)?).await?),
            "/find" => reply(&chain_index::find(&self.sql()?, serde_json::from_str(&body)?)?),
            "/delete" => reply(&self.delete(&serde_json::from_str::<Which>(&body)?.id).await?),
            _ => Response::error("no such call", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        let now = SqlStorageValue::Float(clock::now_ms() as f64);
        self.sql()?.exec("DELETE FROM kept WHERE expires_ms <= ?", vec![now.clone()])?;
        self.sql()?.exec("DELETE FROM items WHERE expires_ms <= ?", vec![now])?;
        self.tidy().await?;
        Response::empty()
    }
}

impl ChainObject {
    fn sql(&self) -> Result<SqlStorage> {
        let sql = self.state.storage().sql();
        if !self.open.replace(true) {
            sql.exec(SCHEMA, None)?;
            sql.exec(chain_index::SCHEMA, None)?;
        }
        Ok(sql)
    }

    fn rows<T: DeserializeOwned>(&self, query: &str, values: Vec<SqlStorageValue>) -> Result<Vec<T>> {
        self.sql()?.exec(query, values)?.to_array()
    }

    /// Whether there was room for it.
    async fn keep(&self, kept: &Kept, text: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Count {
            number: f64,
        }
        let counts: Vec<Count> = self.rows("SELECT COUNT(*) AS number FROM kept WHERE part = 0", vec![])?;
        if counts.first().is_some_and(|count| count.number >= f64::from(RESPONSES_MAX)) {
            return Ok(false);
        }
        let sql = self.sql()?;
        for (part, text) in parts(text).into_iter().enumerate() {
            let values: Vec<SqlStorageValue> = vec![
                SqlStorageValue::String(kept.id.clone()),
                SqlStorageValue::Float(part as f64),
                SqlStorageValue::Float(kept.expires_ms as f64),
                SqlStorageValue::String(text.to_owned()),
            ];
            sql.exec("INSERT OR REPLACE INTO kept (id, part, expires_ms, text) VALUES (?, ?, ?, ?)", values)?;
        }
        self.tidy().await?;
        Ok(true)
    }

    fn read(&self, id: &str) -> Result<Option<Kept>> {
        #[derive(Deserialize)]
        struct Part {
            text: String,
        }
        let values =
            vec![SqlStorageValue::String(id.to_owned()), SqlStorageValue::Float(clock::now_ms() as f64)];
        let query = "SELECT text FROM kept WHERE id = ? AND expires_ms > ? ORDER BY part";
        let parts: Vec<Part> = self.rows(query, values)?;
        if parts.is_empty() {
            return Ok(None);
        }
        let text: String = parts.into_iter().map(|part| part.text).collect();
        Ok(Some(serde_json::from_str(&text)?))
    }

    /// Items of a response's output.
    fn pick(&self, pick: &Pick) -> Result<Picked> {
        let Some(kept) = self.read(&pick.id)? else {
            return Ok(Picked { endpoint: None, items: Vec::new() });
        };
        let mut items = kept.output;
        items.retain(|item| conversation::id(item).is_some_and(|id| pick.items.contains(&id)));
        Ok(Picked { endpoint: Some(kept.endpoint), items })
    }

    async fn note(&self, noted: &Noted) -> Result<bool> {
        chain_index::note(&self.sql()?, noted)?;
        self.tidy().await?;
        Ok(true)
    }

    /// From the response back to the first one.
    fn history(&self, id: &str) -> Result<History> {
        let (mut next, mut turns) = (Some(id.to_owned()), Vec::new());
        let (mut items, mut bytes, mut endpoint) = (0, 0, None);
        while let Some(id) = next {
            let Some(kept) = self.read(&id)? else { return Ok(History::empty(false)) };
            let size: usize = kept.input.iter().chain(&kept.output).map(|item| item.get().len()).sum();
            // A turn without items counts as one, so that the way back has an end.
            items += (kept.input.len() + kept.output.len()).max(1);
            bytes += size;
            if items > HISTORY_MAX_ITEMS || bytes > HISTORY_MAX_BYTES {
                return Ok(History::empty(true));
            }
            endpoint.get_or_insert(kept.endpoint);
            next = kept.previous;
            turns.push((kept.input, kept.output));
        }
        let items = turns.into_iter().rev().flat_map(|(input, output)| input.into_iter().chain(output));
        Ok(History { endpoint, too_long: false, items: items.collect() })
    }

    /// Whether it was there.
    async fn delete(&self, id: &str) -> Result<bool> {
        let there = self.read(id)?.is_some();
        self.sql()?.exec("DELETE FROM kept WHERE id = ?", vec![SqlStorageValue::String(id.to_owned())])?;
        self.tidy().await?;
        Ok(there)
    }

    /// Sets the alarm to the next end, or leaves nothing behind.
    async fn tidy(&self) -> Result<()> {
        #[derive(Deserialize)]
        struct Next {
            due_ms: Option<f64>,
        }
        let query = "SELECT MIN(expires_ms) AS due_ms FROM \
            (SELECT expires_ms FROM kept UNION ALL SELECT expires_ms FROM items)";
        let next: Vec<Next> = self.rows(query, vec![])?;
        let storage = self.state.storage();
        match next.first().and_then(|next| next.due_ms) {
            Some(due_ms) => {
                let in_ms = (due_ms as u64).saturating_sub(clock::now_ms()).max(1);
                storage.set_alarm(i64::try_from(in_ms).unwrap_or(i64::MAX)).await
            }
            None => {
                self.open.set(false);
                storage.delete_alarm().await?;
                storage.delete_all().await
            }
        }
    }
}

/// The text in pieces that fit into a row.
fn parts(text: &str) -> Vec<&str> {
    let (mut rest, mut parts) = (text, Vec::new());
    while !rest.is_empty() {
        let mut end = rest.len().min(ROW_MAX_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

fn reply<T: Serialize>(value: &T) -> Result<Response> {
    Response::ok(serde_json::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters_and_lose_nothing() {
        for text in [String::new(), "a".repeat(10), "ä€".repeat(ROW_MAX_BYTES / 3)] {
            let parts = parts(&text);
            assert!(parts.iter().all(|part| part.len() <= ROW_MAX_BYTES));
            assert_eq!(parts.concat(), text);
        }
    }
}
