//! What stands around the text of an answer, in the form of the Responses protocol: log probabilities and annotations.
//!
//! Invariant: every member that the protocol requires is there; numbers are the provider's.

use serde_json::{Value, json};

/// The log probabilities of a choice's text. What tells no token or no number says nothing, and is left out.
pub fn logprobs(choice: &Value) -> Vec<Value> {
    let tokens = choice.pointer("/logprobs/content").and_then(Value::as_array);
    tokens.into_iter().flatten().filter_map(|token| token_logprob(token, true)).collect()
}

fn token_logprob(token: &Value, is_chosen: bool) -> Option<Value> {
    let text = token.get("token")?.as_str()?;
    let logprob = token.get("logprob").filter(|logprob| logprob.is_number())?;
    let is_bytes = |bytes: &&Value| bytes.as_array().is_some_and(|bytes| bytes.iter().all(Value::is_u64));
    let bytes = token.get("bytes").filter(is_bytes).cloned().unwrap_or_else(|| text.as_bytes().into());
    let mut told = json!({"token": text, "bytes": bytes, "logprob": logprob});
    if let (true, Some(told)) = (is_chosen, told.as_object_mut()) {
        let others = token.get("top_logprobs").and_then(Value::as_array);
        let others: Vec<Value> =
            others.into_iter().flatten().filter_map(|other| token_logprob(other, false)).collect();
        told.insert("top_logprobs".into(), others.into());
    }
    Some(told)
}

/// The annotations of a message or delta. Kinds that only one provider knows say nothing of the text; they are left out.
pub fn annotations(delta: &Value) -> impl Iterator<Item = Value> {
    let annotations = delta.get("annotations").and_then(Value::as_array);
    annotations.into_iter().flatten().filter_map(|annotation| {
        let citation = annotation.get("url_citation")?;
        let text = |name| citation.get(name).and_then(Value::as_str).unwrap_or_default();
        let place = |name| citation.get(name).and_then(Value::as_u64).unwrap_or_default();
        Some(json!({
            "type": "url_citation",
            "url": text("url"),
            "title": text("title"),
            "start_index": place("start_index"),
            "end_index": place("end_index"),
        }))
    })
}
