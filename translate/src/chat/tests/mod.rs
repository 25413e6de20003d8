//! Tests of the adapter: what is asked, and what is understood, as golden files.
//!
//! Invariant: the streams and answers in `streams` and `answers` have the forms of the servers that they are named after.

mod answers;
mod pieces;
mod requests;
mod streams;

use crate::{
    call::{Call, Refusal},
    request::Request,
};
use serde_json::{Map, Value};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// What a provider is asked where the caller asks this.
fn asked(mut body: Value) -> Result<Call, Refusal> {
    let body = body.as_object_mut().expect("an object");
    body.entry("model").or_insert_with(|| "qwen3-vl".into());
    body.entry("input").or_insert_with(|| "Hi".into());
    super::call(&Request::read(body)?)
}
