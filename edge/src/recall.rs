//! What a connection remembers: the conversation of its last response that was not kept, so that it can be continued.
//!
//! After the Open Responses specification of 2026-04-24, "WebSocket transport"
//! (<https://www.openresponses.org/specification>), and OpenAI's guide to the WebSocket mode
//! (<https://developers.openai.com/api/docs/guides/websocket-mode>): the most recent state is held in the connection's memory,
//! also with `store: false`; a continuation that fails evicts what it was to continue; nothing outlives the connection.
//!
//! Invariant: the conversation lies on the JavaScript side, counted in the isolate's byte budget (`recall.js`).

use crate::{chain_object::History, settings::Settings};
use alphagate_contract::id::EndpointId;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

/// Which part of the isolate's byte budget all connections' memories may take: a quarter, 12 MB of 48. So connections that
/// wait for their callers never take the room of requests.
const SHARE: u64 = 4;
/// How long a memory is counted that nobody renews, milliseconds: four times [`RENEW_MS`].
const LIFE_MS: u64 = 120_000;
/// How often a connection says that it lives, milliseconds.
pub const RENEW_MS: u64 = 30_000;

#[wasm_bindgen(module = "/src/recall.js")]
extern "C" {
    /// A connection's memory.
    #[derive(Clone, Debug)]
    pub type Recall;

    #[wasm_bindgen(constructor)]
    fn new(budget_bytes: f64, share_bytes: f64, life_ms: f64) -> Recall;

    #[wasm_bindgen(method)]
    fn ask(this: &Recall, items: &Uint8Array, count: f64);

    #[wasm_bindgen(method, js_name = keep)]
    fn keep_with(this: &Recall, id: &str, endpoint: &str, output: &Uint8Array, count: f64);

    /// The response has failed that was to continue this one.
    #[wasm_bindgen(method)]
    pub fn fail(this: &Recall, previous: &str);

    #[wasm_bindgen(method)]
    fn has(this: &Recall, id: &str) -> bool;

    #[wasm_bindgen(method, getter)]
    fn endpoint(this: &Recall) -> String;

    #[wasm_bindgen(method, getter)]
    fn items(this: &Recall) -> Uint8Array;
}

impl Recall {
    /// The memory of a new connection.
    #[must_use]
    pub fn empty(settings: &Settings) -> Self {
        let budget = settings.buffer_budget_bytes;
        Self::new(budget as f64, (budget / SHARE) as f64, LIFE_MS as f64)
    }

    /// The conversation up to a response, if it is the one that is remembered.
    #[must_use]
    pub fn history(&self, id: &str) -> Option<History> {
        if !self.has(id) {
            return None;
        }
        let text = format!("[{}]", String::from_utf8(self.items().to_vec()).ok()?);
        let items = serde_json::from_str(&text).ok()?;
        Some(History { endpoint: self.endpoint().parse::<EndpointId>().ok(), too_long: false, items })
    }

    /// A response is asked for with this conversation, `count` items with commas between.
    pub fn hold(&self, items: &str, count: usize) {
        self.ask(&Uint8Array::from(items.as_bytes()), count as f64);
    }

    /// The response has ended well.
    pub fn keep(&self, id: &str, endpoint: EndpointId, output: &str, count: usize) {
        self.keep_with(id, &endpoint.to_string(), &Uint8Array::from(output.as_bytes()), count as f64);
    }
}
