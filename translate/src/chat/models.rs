//! What a model's name tells of the server that has it, where servers want the same said in different ways.
//!
//! Invariant: a name that tells nothing is as a name on vLLM or Ollama.

/// The families of models on Mistral's own platform.
const MISTRALS: [&str; 8] =
    ["codestral-", "devstral-", "labs-", "magistral-", "ministral-", "mistral-", "pixtral-", "voxtral-"];

/// The member that limits the output's tokens. OpenAI's own models refuse `max_tokens`, some servers the newer
/// `max_completion_tokens`, and others ignore it in silence.
pub fn limit_member(model: &str) -> &'static str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    let is_numbered = |family: &&str| {
        name.strip_prefix(*family).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let is_openai = name.starts_with("chatgpt-") || ["gpt-", "o"].iter().any(is_numbered);
    if is_openai { "max_completion_tokens" } else { "max_tokens" }
}

/// Whether the server tells a stream's usage by itself, and refuses to be asked for it: Mistral's own platform, whose
/// names end with `-latest` or a month. Elsewhere these models have other names (`mistralai/…`, `mistral:7b`).
pub fn tells_usage_unasked(model: &str) -> bool {
    let is_of_family = MISTRALS.iter().any(|family| model.starts_with(family));
    let version = model.rsplit('-').next().unwrap_or_default();
    let is_month = version.len() == 4 && version.bytes().all(|byte| byte.is_ascii_digit());
    is_of_family && (version == "latest" || is_month)
}
