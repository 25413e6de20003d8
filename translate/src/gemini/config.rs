//! `generationConfig`, and every member of the request that has no field of its own.
//!
//! Efforts follow <https://ai.google.dev/gemini-api/docs/openai#thinking>: a level from the third generation on, the budget
//! of the same table before. Newer models cannot be kept from thinking, so for them `none` is refused.
//!
//! Invariant: each member of the request is passed on, changes nothing in the answer, or is refused.

use super::is_second_generation;
use super::media::Place;
use crate::call::Refusal;
use crate::item::{Content, Item};
use crate::request::{Format, Request};
use serde_json::{Map, Value, json};

/// Thinking budgets in tokens, from the table named above.
const BUDGET_LOW_TOKENS: u64 = 1_024;
const BUDGET_MEDIUM_TOKENS: u64 = 8_192;
const BUDGET_HIGH_TOKENS: u64 = 24_576;

/// Members that change nothing in the answer; the last is about hosted tools, of which there are none.
const HARMLESS: [&str; 7] = [
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "stream_options",
    "max_tool_calls",
];
/// Members that the API knows by another name.
const RENAMED: [(&str, &str); 4] = [
    ("seed", "seed"),
    ("top_k", "topK"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
];
/// Puts `generationConfig`, `serviceTier` and the images' details into a body that has its `contents`.
pub(super) fn put(request: &Request, body: &mut Map<String, Value>) -> Result<(), Refusal> {
    let mut config = Map::new();
    let mut set = |name: &str, value: Value| config.insert(name.to_owned(), value);
    if let Some(tokens) = request.max_output_tokens {
        set("maxOutputTokens", tokens.into());
    }
    if let Some(temperature) = request.temperature {
        set("temperature", temperature.into());
    }
    if let Some(top_p) = request.top_p {
        set("topP", top_p.into());
    }
    if let Some(level) = one_detail(request)? {
        set("mediaResolution", level.into());
    }
    put_logprobs(request, &mut config);
    put_format(request, &mut config)?;
    put_thinking(request, &mut config)?;
    put_other(request, &mut config, body)?;
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), config.into());
    }
    Ok(())
}

/// Whatever else may be included is there anyway, or belongs to tools that are refused.
fn put_logprobs(request: &Request, config: &mut Map<String, Value>) {
    let is_included = request.include.iter().any(|name| name == "message.output_text.logprobs");
    let alternatives = request.top_logprobs.unwrap_or_default();
    if is_included || alternatives > 0 {
        config.insert("responseLogprobs".to_owned(), true.into());
    }
    if alternatives > 0 {
        config.insert("logprobs".to_owned(), alternatives.into());
    }
}

/// A schema always binds here, strict or not, as far as the API knows its keywords: it passes over others
/// (<https://ai.google.dev/gemini-api/docs/structured-output>). Its description goes into it, unless it has one.
fn put_format(request: &Request, config: &mut Map<String, Value>) -> Result<(), Refusal> {
    if request.verbosity.as_deref().is_some_and(|verbosity| verbosity != "medium") {
        return Err(Refusal::unsupported(
            "text.verbosity",
            "must be medium, which is all that this provider knows",
        ));
    }
    if request.format == Format::Text {
        return Ok(());
    }
    config.insert("responseMimeType".to_owned(), "application/json".into());
    if let Format::JsonSchema { schema, description, .. } = &request.format {
        let mut schema = schema.clone();
        if let (Some(description), Value::Object(members)) = (description, &mut schema) {
            members.entry("description").or_insert_with(|| description.as_str().into());
        }
        config.insert("responseJsonSchema".to_owned(), schema);
    }
    Ok(())
}

fn put_thinking(request: &Request, config: &mut Map<String, Value>) -> Result<(), Refusal> {
    let mut thinking = Map::new();
    if let Some(effort) = request.effort.as_deref() {
        let (name, value) = match is_second_generation(&request.model) {
            true => ("thinkingBudget", budget(effort, &request.model)?.into()),
            false => ("thinkingLevel", level(effort)?.into()),
        };
        thinking.insert(name.to_owned(), value);
    }
    if request.summary.is_some() {
        thinking.insert("includeThoughts".to_owned(), true.into());
    }
    if !thinking.is_empty() {
        config.insert("thinkingConfig".to_owned(), thinking.into());
    }
    Ok(())
}

fn level(effort: &str) -> Result<&'static str, Refusal> {
    match effort {
        "minimal" => Ok("MINIMAL"),
        "low" => Ok("LOW"),
        "medium" => Ok("MEDIUM"),
        "high" => Ok("HIGH"),
        "xhigh" => Ok("XHIGH"),
        "none" => Err(Refusal::unsupported("reasoning.effort", "cannot be none: this model always thinks")),
        _ => Err(unknown_effort()),
    }
}

fn budget(effort: &str, model: &str) -> Result<u64, Refusal> {
    match effort {
        "none" if model.contains("-pro") => {
            Err(Refusal::unsupported("reasoning.effort", "cannot be none: this model always thinks"))
        }
        "none" => Ok(0),
        "minimal" | "low" => Ok(BUDGET_LOW_TOKENS),
        "medium" => Ok(BUDGET_MEDIUM_TOKENS),
        "high" => Ok(BUDGET_HIGH_TOKENS),
        "xhigh" => Err(Refusal::unsupported("reasoning.effort", "can be high at most for this model")),
        _ => Err(unknown_effort()),
    }
}

fn unknown_effort() -> Refusal {
    Refusal::invalid("reasoning.effort", "must be one of none, minimal, low, medium, high, xhigh")
}

/// Members without a field of their own. A null is a default, whatever it is of.
fn put_other(
    request: &Request,
    config: &mut Map<String, Value>,
    body: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    for (name, value) in request.other.iter().filter(|(_, value)| !value.is_null()) {
        if HARMLESS.contains(&name.as_str()) || is_default(name, value) {
            continue;
        }
        if let Some((_, theirs)) = RENAMED.iter().find(|(ours, _)| ours == name) {
            config.insert((*theirs).to_owned(), value.clone());
            continue;
        }
        match (name.as_str(), value) {
            ("stop", Value::String(_)) => _ = config.insert("stopSequences".to_owned(), json!([value])),
            ("stop", Value::Array(_)) => _ = config.insert("stopSequences".to_owned(), value.clone()),
            ("service_tier", Value::String(tier)) if tier == "flex" || tier == "priority" => {
                body.insert("serviceTier".to_owned(), value.clone());
            }
            _ => return Err(Refusal::unsupported(name.as_str(), "this provider has no way to do this")),
        }
    }
    Ok(())
}

/// What is asked for is what happens anyway.
fn is_default(name: &str, value: &Value) -> bool {
    match name {
        "store" | "background" => *value == json!(false),
        "truncation" => *value == json!("disabled"),
        "service_tier" => *value == json!("auto") || *value == json!("default"),
        "n" => *value == json!(1),
        "logit_bias" => *value == json!({}),
        _ => false,
    }
}

/// The media resolution of the whole request, which is all that the second generation has: `low` must then be asked of
/// every image, with no file beside them. `high` is what those models do anyway. Newer models have it on each part.
fn one_detail(request: &Request) -> Result<Option<&'static str>, Refusal> {
    let mut low = None;
    let mut is_mixed = false;
    for (place, content) in media(request) {
        let Content::Image { detail, .. } = content else {
            is_mixed = true;
            continue;
        };
        match detail.as_deref() {
            None | Some("auto" | "high") => is_mixed = true,
            Some("low") => low = low.or(Some(place)),
            Some(_) => {
                return Err(Refusal::unsupported(
                    format!("{place}.detail"),
                    "must be low, high or auto for this provider",
                ));
            }
        }
    }
    match low {
        Some(_) if !is_second_generation(&request.model) => Ok(None),
        Some(place) if is_mixed => {
            let message = "must be the same for all images and files of a request to this model";
            Err(Refusal::unsupported(format!("{place}.detail"), message))
        }
        Some(_) => Ok(Some("MEDIA_RESOLUTION_LOW")),
        None => Ok(None),
    }
}

/// Images and files of all messages and outputs.
fn media(request: &Request) -> impl Iterator<Item = (Place, &Content)> {
    request.input.iter().enumerate().flat_map(|(item, it)| {
        let (member, parts) = match it {
            Item::Message(message) => ("content", message.content.as_slice()),
            Item::FunctionCallOutput(output) => ("output", output.output.as_slice()),
            Item::FunctionCall(_) | Item::Reasoning(_) => ("content", &[][..]),
        };
        let place = move |part| Place { item, member, part };
        let parts = parts.iter().enumerate().map(move |(part, content)| (place(part), content));
        parts.filter(|(_, content)| matches!(content, Content::Image { .. } | Content::File { .. }))
    })
}
