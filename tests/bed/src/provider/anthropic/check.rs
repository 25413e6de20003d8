//! The body of a request, checked as Anthropic checks it.
//!
//! Invariant: a member of another protocol is refused as an extra input.

use serde_json::Value;

use super::{VERSION, WITHOUT_SAMPLING, blocks, is_at_least, messages, tools};
use crate::provider::connection::Head;
use crate::provider::fault::{Fault, demand};
use crate::provider::place::{Place, Style};

const MEMBERS: [&str; 18] = [
    "model",
    "messages",
    "max_tokens",
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
    "user_profile_id",
];
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];
const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];
/// From this generation on models think adaptively only, and sample as they like.
const ADAPTIVE_ONLY: (u32, u32) = (4, 7);
/// The least budget for thinking.
const BUDGET_MIN_TOKENS: u64 = 1_024;

/// Refuses what Anthropic would. Answers whether the last turn brings results of tools.
pub(in crate::provider) fn check(body: &Value, model: &str, head: &Head) -> Result<bool, Fault> {
    let root = Place::root(body, Style::Anthropic);
    let samples = head.header(VERSION) != Some(WITHOUT_SAMPLING);
    let sampling = if samples { &SAMPLING[..] } else { &[] };
    let known: Vec<&str> = MEMBERS.iter().chain(sampling).copied().collect();
    root.only(&known)?;
    root.need("model")?.text()?;
    root.need("max_tokens")?;
    root.whole("max_tokens", 0)?;
    if let Some(system) = root.member("system").filter(|system| !system.value.is_string()) {
        for block in system.list()? {
            block.need("type")?.one_of(&["text"])?;
            blocks::text(&block)?;
        }
    }
    let thinks = thinking(&root, model)?;
    sampled(&root, model, thinks)?;
    if let Some(config) = root.member("output_config") {
        output_config(&config)?;
    }
    tools::check(&root, thinks)?;
    if let Some(metadata) = root.member("metadata") {
        metadata.only(&["user_id"])?;
    }
    messages::check(&root, model)
}

/// Whether the model is to think.
fn thinking(root: &Place<'_>, model: &str) -> Result<bool, Fault> {
    let Some(thinking) = root.member("thinking") else { return Ok(false) };
    thinking.only(&["type", "budget_tokens", "display"])?;
    let kind = thinking.need("type")?.one_of(&["enabled", "disabled", "adaptive", "between_tools"])?;
    if let Some(display) = thinking.member("display") {
        display.one_of(&["summarized", "omitted"])?;
    }
    if kind == "enabled" {
        demand(!is_at_least(model, ADAPTIVE_ONLY), || {
            "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \
             \"output_config.effort\" to control thinking behavior."
                .to_owned()
        })?;
        thinking.need("budget_tokens")?;
        thinking.whole("budget_tokens", BUDGET_MIN_TOKENS)?;
        let below = thinking.value["budget_tokens"].as_u64() < root.value["max_tokens"].as_u64();
        demand(below, || "`max_tokens` must be greater than `thinking.budget_tokens`.".to_owned())?;
    } else if let Some(budget) = thinking.member("budget_tokens") {
        return Err(budget.refused("Extra inputs are not permitted"));
    }
    Ok(kind != "disabled")
}

fn sampled(root: &Place<'_>, model: &str, thinks: bool) -> Result<(), Fault> {
    root.bounded("temperature", 0.0..=1.0)?;
    root.bounded("top_p", 0.0..=1.0)?;
    root.whole("top_k", 0)?;
    demand(!(root.has("temperature") && root.has("top_p")), || {
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.".to_owned()
    })?;
    let heated = root.has("temperature") && root.value["temperature"].as_f64() != Some(1.0);
    if is_at_least(model, ADAPTIVE_ONLY) {
        let set = SAMPLING.into_iter().find(|name| root.has(name) && (*name != "temperature" || heated));
        return match set {
            Some(name) => Err(Fault::invalid(format!("`{name}` is deprecated for this model."))),
            None => Ok(()),
        };
    }
    if thinks {
        demand(!heated, || "`temperature` may only be set to 1 when thinking is enabled.".to_owned())?;
        demand(!root.has("top_k"), || "`top_k` must be unset when thinking is enabled.".to_owned())?;
        root.bounded("top_p", 0.95..=1.0)?;
    }
    Ok(())
}

fn output_config(config: &Place<'_>) -> Result<(), Fault> {
    config.only(&["effort", "format"])?;
    if let Some(effort) = config.member("effort") {
        effort.one_of(&EFFORTS)?;
    }
    let Some(format) = config.member("format") else { return Ok(()) };
    format.only(&["type", "schema"])?;
    format.need("type")?.one_of(&["json_schema"])?;
    tools::strict(&format.need("schema")?)
}
