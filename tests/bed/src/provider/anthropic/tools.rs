//! Tools, the choice among them, and the schemas that Anthropic can hold a model to.
//!
//! Invariant: a strict schema has only keywords that the reference lists.

use serde_json::Value;

use crate::provider::fault::{Fault, demand};
use crate::provider::place::{Place, is_name};

const NAME_MAX_CHARS: usize = 128;
const MEMBERS: [&str; 10] = [
    "name",
    "description",
    "input_schema",
    "type",
    "cache_control",
    "strict",
    "allowed_callers",
    "defer_loading",
    "eager_input_streaming",
    "input_examples",
];
/// What no strict schema may have.
const UNSUPPORTED: [&str; 9] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
];
const DEPTH_MAX: u32 = 64;

pub(super) fn check(root: &Place<'_>, thinks: bool) -> Result<(), Fault> {
    let tools = match root.member("tools") {
        Some(tools) => tools.list()?,
        None => Vec::new(),
    };
    let mut names = Vec::new();
    for tool in &tools {
        let name = one(tool)?;
        demand(!names.contains(&name), || "tools: Tool names must be unique.".to_owned())?;
        names.push(name);
    }
    let Some(choice) = root.member("tool_choice") else { return Ok(()) };
    demand(!tools.is_empty(), || "tool_choice: may only be specified while providing tools.".to_owned())?;
    choice.only(&["type", "name", "disable_parallel_tool_use"])?;
    let kind = choice.need("type")?.one_of(&["auto", "any", "tool", "none"])?;
    demand(!(thinks && matches!(kind, "any" | "tool")), || {
        "Thinking may not be enabled when tool_choice forces tool use.".to_owned()
    })?;
    if kind == "tool" {
        let name = choice.need("name")?.text()?;
        demand(names.contains(&name), || format!("Tool '{name}' not found in provided tools"))?;
    }
    Ok(())
}

fn one<'a>(tool: &Place<'a>) -> Result<&'a str, Fault> {
    if let Some(kind) = tool.member("type").filter(|kind| kind.value != "custom") {
        // A tool of Anthropic's own has members of its own.
        demand(is_dated(kind.text()?), || {
            format!(
                "{}: Input tag '{}' found using 'type' does not match any of the expected tags",
                tool.path(),
                kind.value.as_str().unwrap_or_default()
            )
        })?;
        return tool.need("name")?.text();
    }
    let name = tool.need("name")?;
    tool.only(&MEMBERS)?;
    if !is_name(name.text()?, NAME_MAX_CHARS) {
        return Err(name.refused("String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"));
    }
    let schema = tool.need("input_schema")?;
    schema.object()?;
    schema.need("type")?.one_of(&["object"])?;
    let combined = ["oneOf", "allOf", "anyOf"].iter().any(|word| schema.has(word));
    demand(!combined, || {
        format!("{}: input_schema does not support oneOf, allOf, or anyOf at the top level", tool.path())
    })?;
    if tool.value["strict"] == true {
        strict(&schema)?;
    }
    name.text()
}

/// Whether this names a tool of Anthropic's own: all of them end with the day of their version.
fn is_dated(kind: &str) -> bool {
    kind.rsplit_once('_').is_some_and(|(_, day)| day.len() == 8 && day.chars().all(|c| c.is_ascii_digit()))
}

/// Refuses a schema that Anthropic cannot hold a model to.
pub(super) fn strict(schema: &Place<'_>) -> Result<(), Fault> {
    schema.object()?;
    match unsupported(schema.value, 0) {
        None => Ok(()),
        Some(why) => Err(schema.refused(&why)),
    }
}

fn unsupported(schema: &Value, depth: u32) -> Option<String> {
    if depth > DEPTH_MAX {
        return Some("Schema is too complex.".to_owned());
    }
    let kind = schema["type"].as_str().unwrap_or("any");
    if kind == "object" && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        let why = "For 'object' type, 'additionalProperties' must be explicitly set to false";
        return Some(why.to_owned());
    }
    if let Some(word) = UNSUPPORTED.iter().find(|word| schema.get(word).is_some()) {
        return Some(format!("For '{kind}' type, property '{word}' is not supported"));
    }
    if schema["minItems"].as_u64().is_some_and(|least| least > 1) {
        return Some("For 'array' type, 'minItems' values other than 0 or 1 are not supported".to_owned());
    }
    let maps = ["properties", "$defs", "definitions"].into_iter().filter_map(|name| schema[name].as_object());
    let lists = ["anyOf", "allOf"].into_iter().filter_map(|name| schema[name].as_array());
    let mut within = maps.flat_map(|map| map.values()).chain(lists.flatten()).chain(schema.get("items"));
    within.find_map(|schema| unsupported(schema, depth + 1))
}
