//! The members of the caller's request that have no field of their own: which are sent, which change nothing, and that
//! all others are refused.
//!
//! Invariant: every member is in exactly one of the three.

use crate::call::Refusal;
use serde_json::{Map, Value, json};

/// Members that say nothing about the answer: whom it is for, how it is billed, kept or cached, how it is framed.
const CHANGES_NOTHING: [&str; 6] =
    ["metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "stream_options"];

/// Puts into `body` what the API knows, under its names.
pub(super) fn put(other: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<(), Refusal> {
    for (name, value) in other {
        match name.as_str() {
            // Of chat: one text or several.
            "stop" if value.is_string() => {
                body.insert("stop_sequences".into(), json!([value]));
            }
            "stop" if value.is_array() => {
                body.insert("stop_sequences".into(), value.clone());
            }
            // Not the protocol's, but what many providers call it.
            "top_k" if value.is_u64() => {
                body.insert("top_k".into(), value.clone());
            }
            _ if changes_nothing(name, value) => {}
            _ => return Err(Refusal::unsupported(name, "this provider has no such thing")),
        }
    }
    Ok(())
}

/// Whether the API answers the same without the member: it is about something else, or asks for what is the case anyhow.
fn changes_nothing(name: &str, value: &Value) -> bool {
    if value.is_null() {
        return true;
    }
    match name {
        "service_tier" => matches!(value.as_str(), Some("auto" | "default")),
        "store" | "background" => value.as_bool() == Some(false),
        "truncation" => value.as_str() == Some("disabled"),
        "frequency_penalty" | "presence_penalty" => {
            value.as_f64().is_some_and(|penalty| (0.0..=0.0).contains(&penalty))
        }
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "n" => value.as_u64() == Some(1),
        _ => CHANGES_NOTHING.contains(&name),
    }
}
