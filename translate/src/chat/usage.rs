//! Tokens used, as the different servers count them.
//!
//! Invariant: thoughts are part of the output, also where the provider counts them beside it.

use crate::fact::Usage;
use serde_json::Value;

/// The usage of a chunk or an answer, if it tells one. Groq tells a stream's in `x_groq`.
pub fn usage(answer: &Value) -> Option<Usage> {
    let usage = answer
        .get("usage")
        .filter(|usage| usage.is_object())
        .or_else(|| answer.pointer("/x_groq/usage").filter(|usage| usage.is_object()))?;
    let count = |path: &str| usage.pointer(path).and_then(Value::as_u64);
    let input = count("/prompt_tokens").unwrap_or_default();
    let output = count("/completion_tokens").unwrap_or_default();
    // xAI and Gemini count thoughts in the total, and not in `completion_tokens`.
    let beside = count("/total_tokens").unwrap_or_default().saturating_sub(input).saturating_sub(output);
    Some(Usage {
        input_tokens: input,
        cached_tokens: count("/prompt_tokens_details/cached_tokens")
            .or_else(|| count("/prompt_cache_hit_tokens"))
            .unwrap_or_default(),
        output_tokens: output.saturating_add(beside),
        reasoning_tokens: count("/completion_tokens_details/reasoning_tokens").unwrap_or(beside),
    })
}
