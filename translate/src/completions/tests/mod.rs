//! Tests of the translation for callers of chat completions.
//!
//! Invariant: a case says nothing that it is not about.

mod answers;
mod requests;
mod round_trips;
mod streams;

use serde_json::{Map, Value};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}
