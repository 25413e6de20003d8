//! What a request brings of earlier turns, checked as OpenAI checks it.
//!
//! Invariant: an input without calls and reasoning is not parsed: images cost nothing.

use serde_json::Value;

use crate::provider::fault::{Fault, demand};
use crate::provider::seal;

const TOOL_OUTPUT: &str = "function_call_output";

/// Whether the last item brings the result of a tool.
pub(super) fn ends_with_tool_output(input: &str) -> bool {
    let items = items_with(input, &[TOOL_OUTPUT]);
    items.last().is_some_and(|last| last["type"] == TOOL_OUTPUT)
}

/// Refuses results of calls that nobody made, calls without results, and reasoning that somebody changed.
pub(super) fn check(input: &str, continues: bool) -> Result<(), Fault> {
    let items = items_with(input, &["function_call", "encrypted_content"]);
    for item in &items {
        let call_id = &item["call_id"];
        let has =
            |kind: &str| items.iter().any(|other| other["type"] == kind && other["call_id"] == *call_id);
        if item["type"] == TOOL_OUTPUT {
            demand(continues || has("function_call"), || {
                format!("No tool call found for function call output with call_id {}.", word(call_id))
            })?;
        }
        if item["type"] == "function_call" {
            demand(has(TOOL_OUTPUT), || {
                format!("No tool output found for function call {}.", word(call_id))
            })?;
        }
        let is_sealed = item["type"] == "reasoning" || item["type"] == "compaction";
        if let Some(sealed) = item["encrypted_content"].as_str().filter(|_| is_sealed) {
            let unchanged = seal::holds("openai", None, sealed);
            demand(unchanged, || "The encrypted content could not be verified.".to_owned())
                .map_err(|fault| fault.coded("invalid_encrypted_content"))?;
        }
    }
    Ok(())
}

fn items_with(input: &str, words: &[&str]) -> Vec<Value> {
    if words.iter().any(|word| input.contains(word)) {
        serde_json::from_str(input).unwrap_or_default()
    } else {
        Vec::new()
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("null")
}
