//! The body of a request, checked as OpenAI checks it. What vLLM takes besides is let through.
//!
//! Invariant: a member of another protocol is unknown here, too.

use serde_json::Value;

use super::{messages, tools};
use crate::provider::fault::{Fault, demand};
use crate::provider::place::{Place, Style, is_name};

/// OpenAI's own members.
const OPENAI: [&str; 36] = [
    "messages",
    "model",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
];
/// What vLLM's server takes besides.
const VLLM: [&str; 9] = [
    "top_k",
    "min_p",
    "repetition_penalty",
    "min_tokens",
    "stop_token_ids",
    "chat_template_kwargs",
    "include_reasoning",
    "structured_outputs",
    "web_search_options",
];
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
/// OpenAI's own bounds.
const STOPS_MAX: usize = 4;
const NAME_MAX_CHARS: usize = 64;

/// Refuses what OpenAI would. Answers whether the last turn brings results of tools.
pub(in crate::provider) fn check(body: &Value) -> Result<bool, Fault> {
    let root = Place::root(body, Style::OpenAi);
    let known: Vec<&str> = OPENAI.into_iter().chain(VLLM).collect();
    root.only(&known)?;
    root.need("model")?.text()?;
    let after_tools = messages::check(&root.need("messages")?)?;
    tools::check(&root)?;
    numbers(&root)?;
    stream_options(&root)?;
    if let Some(format) = root.member("response_format") {
        response_format(&root, &format)?;
    }
    if let Some(effort) = root.member("reasoning_effort") {
        effort.one_of(&EFFORTS)?;
    }
    Ok(after_tools)
}

fn numbers(root: &Place<'_>) -> Result<(), Fault> {
    root.bounded("temperature", 0.0..=2.0)?;
    root.bounded("top_p", 0.0..=1.0)?;
    root.bounded("frequency_penalty", -2.0..=2.0)?;
    root.bounded("presence_penalty", -2.0..=2.0)?;
    root.bounded("top_logprobs", 0.0..=20.0)?;
    root.bounded("n", 1.0..=1.0)?;
    root.whole("max_tokens", 1)?;
    root.whole("max_completion_tokens", 1)?;
    demand(!(root.has("max_tokens") && root.has("max_completion_tokens")), || {
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.".to_owned()
    })?;
    let logprobs = root.value["logprobs"] == true;
    demand(logprobs || !root.has("top_logprobs"), || {
        "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.".to_owned()
    })?;
    match root.member("stop") {
        Some(stop) if stop.value.is_array() && stop.list()?.len() > STOPS_MAX => {
            Err(stop.refused("array too long"))
        }
        _ => Ok(()),
    }
}

fn stream_options(root: &Place<'_>) -> Result<(), Fault> {
    let Some(options) = root.member("stream_options") else { return Ok(()) };
    demand(root.value["stream"] == true, || {
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.".to_owned()
    })?;
    options.only(&["include_usage", "include_obfuscation"])
}

fn response_format(root: &Place<'_>, format: &Place<'_>) -> Result<(), Fault> {
    match format.need("type")?.one_of(&["text", "json_object", "json_schema"])? {
        "json_object" => {
            let asks = root.value["messages"].to_string().to_lowercase().contains("json");
            demand(asks, || {
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                 'json_object'."
                    .to_owned()
            })
        }
        "json_schema" => {
            let schema = format.need("json_schema")?;
            schema.only(&["name", "description", "schema", "strict"])?;
            let name = schema.need("name")?;
            if !is_name(name.text()?, NAME_MAX_CHARS) {
                return Err(name.refused("string does not match pattern '^[a-zA-Z0-9_-]+$'"));
            }
            let strict = schema.value["strict"] == true;
            tools::schema(&schema.need("schema")?, strict, "response_format 'json_schema'")
        }
        _ => Ok(()),
    }
}
