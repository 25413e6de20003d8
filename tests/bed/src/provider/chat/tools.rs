//! Tools, the choice among them, and schemas in OpenAI's strict form.
//!
//! Invariant: a strict schema has every object closed and every property required, at any depth.

use serde_json::Value;

use crate::provider::fault::{Fault, demand};
use crate::provider::place::{Place, is_name};

const NAME_MAX_CHARS: usize = 64;
/// Deeper than any schema: OpenAI's own bound is 10 levels.
const DEPTH_MAX: u32 = 64;

pub(super) fn check(root: &Place<'_>) -> Result<(), Fault> {
    let tools = match root.member("tools") {
        Some(tools) => tools.list()?,
        None => Vec::new(),
    };
    if root.has("tools") && tools.is_empty() {
        return Err(Fault::at(
            "tools",
            "Invalid 'tools': empty array. Expected an array with minimum length 1.",
        ));
    }
    let mut names = Vec::new();
    for tool in &tools {
        names.push(one(tool)?);
    }
    for name in ["tool_choice", "parallel_tool_calls"] {
        demand(!tools.is_empty() || !root.has(name), || {
            format!("Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.")
        })?;
    }
    match root.member("tool_choice") {
        Some(choice) => check_choice(&choice, &names),
        None => Ok(()),
    }
}

fn one<'a>(tool: &Place<'a>) -> Result<&'a str, Fault> {
    tool.need("type")?.one_of(&["function", "custom"])?;
    let function = tool.need(tool.value["type"].as_str().unwrap_or_default())?;
    function.only(&["name", "description", "parameters", "strict", "format"])?;
    let name = function.need("name")?;
    if !is_name(name.text()?, NAME_MAX_CHARS) {
        return Err(name.refused("string does not match pattern '^[a-zA-Z0-9_-]+$'"));
    }
    if let Some(parameters) = function.member("parameters") {
        let what = format!("function '{}'", name.text()?);
        if parameters.value.get("type").is_some_and(|kind| kind != "object") {
            let message =
                format!("Invalid schema for {what}: schema must be a JSON Schema of 'type: \"object\"'.");
            return Err(Fault::at(parameters.path(), message).coded("invalid_function_parameters"));
        }
        schema(&parameters, function.value["strict"] == true, &what)?;
    }
    name.text()
}

fn check_choice(choice: &Place<'_>, names: &[&str]) -> Result<(), Fault> {
    if choice.value.is_string() {
        choice.one_of(&["none", "auto", "required"])?;
        return Ok(());
    }
    let kind = choice.need("type")?.one_of(&["function", "custom", "allowed_tools"])?;
    let chosen = choice.need(kind)?;
    if kind == "allowed_tools" {
        chosen.need("mode")?.one_of(&["auto", "required"])?;
        return chosen.need("tools")?.list().map(|_| ());
    }
    let name = chosen.need("name")?;
    let known = names.contains(&name.text()?);
    demand(known, || "Tool choice 'function' not found in 'tools' parameter.".to_owned())
}

/// Refuses what is no schema and, if `strict`, what OpenAI cannot hold a model to.
pub(super) fn schema(schema: &Place<'_>, strict: bool, what: &str) -> Result<(), Fault> {
    schema.object()?;
    if !strict {
        return Ok(());
    }
    match open(schema.value, 0) {
        None => Ok(()),
        Some(why) => Err(Fault::at(schema.path(), format!("Invalid schema for {what}: {why}"))
            .coded("invalid_json_schema")),
    }
}

/// What keeps a schema from being strict.
fn open(schema: &Value, depth: u32) -> Option<String> {
    if depth > DEPTH_MAX {
        return Some("too deep".to_owned());
    }
    if schema["type"] == "object" || schema.get("properties").is_some() {
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Some("'additionalProperties' is required to be supplied and to be false.".to_owned());
        }
        let required = schema["required"].as_array();
        let properties = schema["properties"].as_object();
        let is_required = |name: &str| required.is_some_and(|list| list.iter().any(|one| one == name));
        if let Some(name) = properties.and_then(|all| all.keys().find(|name| !is_required(name))) {
            return Some(format!(
                "'required' is required to be supplied and to be an array including every key in properties. \
                 Missing '{name}'."
            ));
        }
    }
    let maps = ["properties", "$defs", "definitions"].into_iter().filter_map(|name| schema[name].as_object());
    let lists = ["anyOf"].into_iter().filter_map(|name| schema[name].as_array());
    let mut within = maps.flat_map(|map| map.values()).chain(lists.flatten()).chain(schema.get("items"));
    within.find_map(|schema| open(schema, depth + 1))
}
