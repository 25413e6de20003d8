//! Usage and log probabilities, in chat's form.
//!
//! Invariant: the numbers are the response's.

use serde_json::{Value, json};

/// The usage of a response; none if it tells none.
pub fn usage(response: &Value) -> Option<Value> {
    let usage = response.get("usage").filter(|usage| usage.is_object())?;
    let count = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let (input, output) = (count("/input_tokens"), count("/output_tokens"));
    Some(json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input.saturating_add(output),
        "prompt_tokens_details": {"cached_tokens": count("/input_tokens_details/cached_tokens")},
        "completion_tokens_details": {"reasoning_tokens": count("/output_tokens_details/reasoning_tokens")},
    }))
}

/// A choice's `logprobs`, of an output text or one of its deltas; null if there are none.
pub fn logprobs<'a>(tokens: impl Iterator<Item = &'a Value>) -> Value {
    let tokens: Vec<Value> = tokens.map(token_logprob).collect();
    if tokens.is_empty() { Value::Null } else { json!({"content": tokens, "refusal": null}) }
}

/// Deltas of some providers leave the bytes out, which chat requires to be told or null.
fn token_logprob(token: &Value) -> Value {
    let mut token = token.clone();
    if let Some(token) = token.as_object_mut() {
        token.entry("bytes").or_insert(Value::Null);
        token.entry("top_logprobs").or_insert_with(|| json!([]));
        let others = token.get_mut("top_logprobs").and_then(Value::as_array_mut);
        for other in others.into_iter().flatten().filter_map(Value::as_object_mut) {
            other.entry("bytes").or_insert(Value::Null);
        }
    }
    token
}

/// An annotation in chat's form; chat knows citations of URLs only.
pub fn annotation(annotation: &Value) -> Option<Value> {
    let mut citation = annotation.as_object()?.clone();
    let kind = citation.remove("type")?;
    (kind == "url_citation").then(|| json!({"type": kind, "url_citation": citation}))
}
