//! A request, as the body of a chat completion.
//!
//! Invariant: a member without a counterpart is refused by name, or changes nothing in the answer.

use super::{messages, models, other};
use crate::{
    call::{Call, Refusal},
    request::{Format, Request, Tool, ToolChoice},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Asks for log probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";
/// What a chat completions server is asked.
///
/// # Errors
/// If it cannot be asked this.
pub fn call(request: &Request) -> Result<Call, Refusal> {
    let mut body = other::members(&request.other)?;
    body.insert("model".into(), request.model.clone().into());
    body.insert("messages".into(), messages::messages(request)?.into());
    sampling(request, &mut body)?;
    tools(request, &mut body);
    if let Some(format) = response_format(&request.format) {
        body.insert("response_format".into(), format);
    }
    if request.stream {
        body.insert("stream".into(), true.into());
        if !models::tells_usage_unasked(&request.model) {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
    }
    Ok(Call { path: "/chat/completions".into(), headers: Vec::new(), body: Value::Object(body) })
}

fn sampling(request: &Request, body: &mut Map<String, Value>) -> Result<(), Refusal> {
    if let Some(tokens) = request.max_output_tokens {
        body.insert(models::limit_member(&request.model).into(), tokens.into());
    }
    let numbers = [("temperature", request.temperature), ("top_p", request.top_p)];
    for (name, number) in numbers.into_iter().filter_map(|(name, number)| Some((name, number?))) {
        body.insert(name.into(), number.into());
    }
    let texts = [("reasoning_effort", &request.effort), ("verbosity", &request.verbosity)];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        body.insert(name.into(), text.as_str().into());
    }
    if request.summary.as_deref().is_some_and(|summary| summary != "auto") {
        return Err(Refusal::unsupported(
            "reasoning.summary",
            "This provider tells no summaries of its thoughts. Leave it out, or ask for `auto`.",
        ));
    }
    logprobs(request, body);
    Ok(())
}

/// Whatever else may be included is told always, or is of hosted tools, of which there are none.
fn logprobs(request: &Request, body: &mut Map<String, Value>) {
    let is_included = request.include.iter().any(|include| include == LOGPROBS);
    if is_included || request.top_logprobs.is_some_and(|top| top > 0) {
        body.insert("logprobs".into(), true.into());
        if let Some(top) = request.top_logprobs {
            body.insert("top_logprobs".into(), top.into());
        }
    }
}

/// Servers refuse a choice among tools where there are none, so nothing is said then.
fn tools(request: &Request, body: &mut Map<String, Value>) {
    let allowed: Option<BTreeSet<&String>> = match &request.tool_choice {
        ToolChoice::Allowed { names, .. } => Some(names.iter().collect()),
        _ => None,
    };
    let is_offered = |tool: &&Tool| allowed.as_ref().is_none_or(|names| names.contains(&tool.name));
    let tools: Vec<Value> = request.tools.iter().filter(is_offered).map(function).collect();
    if tools.is_empty() {
        return;
    }
    body.insert("tools".into(), tools.into());
    if let Some(parallel) = request.parallel_tool_calls {
        body.insert("parallel_tool_calls".into(), parallel.into());
    }
    let choice = match &request.tool_choice {
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => return,
        ToolChoice::None => json!("none"),
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => json!("required"),
        ToolChoice::Function(name) => json!({"type": "function", "function": {"name": name}}),
    };
    body.insert("tool_choice".into(), choice);
}

fn function(tool: &Tool) -> Value {
    let mut function = Map::new();
    function.insert("name".into(), tool.name.clone().into());
    if let Some(description) = &tool.description {
        function.insert("description".into(), description.clone().into());
    }
    if let Some(parameters) = &tool.parameters {
        function.insert("parameters".into(), parameters.clone());
    }
    if let Some(strict) = tool.strict {
        function.insert("strict".into(), strict.into());
    }
    json!({"type": "function", "function": function})
}

fn response_format(format: &Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(json!({"type": "json_object"})),
        Format::JsonSchema { name, description, schema, strict } => {
            let mut json_schema = Map::new();
            json_schema.insert("name".into(), name.clone().into());
            json_schema.insert("schema".into(), schema.clone());
            if let Some(description) = description {
                json_schema.insert("description".into(), description.clone().into());
            }
            if let Some(strict) = strict {
                json_schema.insert("strict".into(), (*strict).into());
            }
            Some(json!({"type": "json_schema", "json_schema": json_schema}))
        }
    }
}
