//! A whole answer, as the facts that its stream would have been.
//!
//! Invariant: an answer without a choice is an error, never an empty response.

use super::stream::Reader;
use crate::{call::Malformed, fact::Fact};
use serde_json::Value;

/// Reads an answer that is no stream.
///
/// # Errors
/// If it is no chat completion.
pub fn whole(body: &[u8]) -> Result<Vec<Fact>, Malformed> {
    let mut answer: Value =
        serde_json::from_slice(body).map_err(|error| Malformed(format!("the answer is no JSON: {error}")))?;
    number_calls(&mut answer);
    let mut reader = Reader::default();
    let mut facts = reader.chunk(&answer)?;
    facts.extend(reader.end()?);
    Ok(facts)
}

/// The calls of a whole answer are whole, each its own, whatever index or id they have.
fn number_calls(answer: &mut Value) {
    let choices = answer.get_mut("choices").and_then(Value::as_array_mut);
    let messages = choices.into_iter().flatten().filter_map(|choice| choice.get_mut("message"));
    let calls = messages.filter_map(|message| message.get_mut("tool_calls")?.as_array_mut());
    for (index, call) in calls.flat_map(|calls| calls.iter_mut().enumerate()) {
        if let Some(call) = call.as_object_mut() {
            call.insert("index".into(), index.into());
        }
    }
}
