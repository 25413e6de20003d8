//! The members of a request that have no field of their own, one by one.
//!
//! Invariant: a member is passed, is known to change nothing in the answer, or is refused by its name.

use crate::call::Refusal;
use serde_json::{Map, Value};

/// Members that chat completions servers know by the same name: OpenAI's, then vLLM's. None of them reaches further
/// than the model's sampling: `models`, `provider`, `web_search_options` or `chat_template` are not for callers to say.
const PASSED: [&str; 19] = [
    "frequency_penalty",
    "logit_bias",
    "prediction",
    "presence_penalty",
    "seed",
    "service_tier",
    "stop",
    "chat_template_kwargs",
    "enable_thinking",
    "length_penalty",
    "min_p",
    "min_tokens",
    "mm_processor_kwargs",
    "repetition_penalty",
    "stop_token_ids",
    "structured_outputs",
    "thinking",
    "thinking_token_budget",
    "top_k",
];

/// Members that change nothing in the answer: labels, hints to caches, and a cap on hosted tools, of which there are none.
const CHANGES_NOTHING: [&str; 8] = [
    "max_tool_calls",
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "stream_options",
    "user",
];

/// The members that go into the body.
pub fn members(other: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let mut body = Map::new();
    for (name, value) in other {
        if is_default(name, value) {
            continue;
        }
        if PASSED.contains(&name.as_str()) {
            body.insert(name.clone(), value.clone());
        } else {
            let message = format!("This provider cannot serve `{name}`.");
            return Err(Refusal::unsupported(name.as_str(), message));
        }
    }
    Ok(body)
}

/// Whether the value says what would hold without it.
fn is_default(name: &str, value: &Value) -> bool {
    value.is_null()
        || CHANGES_NOTHING.contains(&name)
        || match name {
            "store" | "background" => value == false,
            "truncation" => value == "disabled",
            "service_tier" => value == "auto" || value == "default",
            _ => false,
        }
}
