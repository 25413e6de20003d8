//! The adapter as its callers see it: requests and answers against golden files, tables of cases, and round trips.
//!
//! Invariant: requests are read as a caller's are, and answers as the documentation writes them.

mod answers;
mod ends;
mod errors;
mod refusals;
mod requests;
mod round_trip;
mod signatures;

use super::Reader;
use crate::call::{Call, Refusal};
use crate::fact::Fact;
use crate::request::Request;
use crate::sse;
use serde_json::{Value, json};

const NEWER: &str = "gemini-3-flash-preview";
const SECOND: &str = "gemini-2.5-flash";

/// A caller's body as a request.
fn request(body: &Value) -> Request {
    Request::read(body.as_object().expect("an object")).expect("a request")
}

/// What is asked for a body; `input` and `model` are there if it has none.
fn asked(body: &Value) -> Result<Call, Refusal> {
    let mut whole = json!({"model": NEWER, "input": "Hello"});
    whole.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
    super::call(&request(&whole))
}

fn event(data: &Value) -> sse::Event {
    sse::Event { name: sse::DEFAULT_NAME.to_owned(), data: data.to_string() }
}

/// What a stream of chunks says.
fn told(chunks: &[Value]) -> Vec<Fact> {
    let mut reader = Reader::default();
    chunks.iter().flat_map(|chunk| reader.event(&event(chunk)).expect("a chunk")).collect()
}

/// A chunk with these parts.
fn chunk(parts: &Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}], "modelVersion": NEWER})
}

/// A last chunk with these parts.
fn last(parts: &Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}]})
}
