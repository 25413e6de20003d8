//! Function tools, and which of them may be called.
//!
//! Invariant: the model sees exactly the tools that the caller lets it call; where it may call none, it still sees them,
//! since the conversation may speak of them.

use super::schema;
use crate::{
    call::Refusal,
    request::{Request, Tool, ToolChoice},
};
use serde_json::{Map, Value, json};

/// Puts `tools` and `tool_choice`.
///
/// The API has no `allowed_tools`: the tools that are not allowed are not sent.
pub(super) fn put(request: &Request, body: &mut Map<String, Value>) -> Result<(), Refusal> {
    refuse_unknown_names(request)?;
    let allowed = |tool: &&Tool| match &request.tool_choice {
        ToolChoice::Allowed { names, .. } if !names.is_empty() => names.contains(&tool.name),
        _ => true,
    };
    let tools: Vec<Value> = request.tools.iter().filter(allowed).map(tool).collect();
    if tools.is_empty() {
        return Ok(());
    }
    body.insert("tools".into(), Value::Array(tools));
    if let Some(choice) = choice(request) {
        body.insert("tool_choice".into(), choice);
    }
    Ok(())
}

fn refuse_unknown_names(request: &Request) -> Result<(), Refusal> {
    let unknown = |name: &&String| !request.tools.iter().any(|tool| tool.name == **name);
    let missing = match &request.tool_choice {
        ToolChoice::Auto | ToolChoice::None => None,
        ToolChoice::Required if request.tools.is_empty() => {
            return Err(Refusal::invalid("tool_choice", "a call is required, but there are no tools"));
        }
        ToolChoice::Required => None,
        ToolChoice::Function(name) => Some(name).filter(unknown),
        ToolChoice::Allowed { required: true, names } if names.is_empty() => {
            return Err(Refusal::invalid("tool_choice", "a call is required, but no tool is allowed"));
        }
        ToolChoice::Allowed { names, .. } => names.iter().find(unknown),
    };
    match missing {
        Some(name) => Err(Refusal::invalid("tool_choice", format!("there is no tool `{name}`"))),
        None => Ok(()),
    }
}

fn tool(tool: &Tool) -> Value {
    let mut out = Map::new();
    out.insert("name".into(), json!(tool.name));
    if let Some(description) = &tool.description {
        out.insert("description".into(), json!(description));
    }
    let strict = tool.strict == Some(true);
    out.insert("input_schema".into(), input_schema(tool.parameters.as_ref(), strict));
    // Not to be strict is the API's default.
    if strict {
        out.insert("strict".into(), json!(true));
    }
    Value::Object(out)
}

/// The API requires a schema, of type `object`; which arguments always are.
fn input_schema(parameters: Option<&Value>, strict: bool) -> Value {
    match parameters {
        None | Some(Value::Null) => json!({"type": "object", "properties": {}}),
        Some(parameters) => {
            let mut parameters = parameters.clone();
            if let Some(object) = parameters.as_object_mut() {
                object.entry("type").or_insert_with(|| json!("object"));
            }
            if strict { schema::restated(&parameters) } else { parameters }
        }
    }
}

/// `tool_choice`; none where it would say the API's default.
fn choice(request: &Request) -> Option<Value> {
    let mut choice = match &request.tool_choice {
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::None => return Some(json!({"type": "none"})),
        ToolChoice::Allowed { names, .. } if names.is_empty() => return Some(json!({"type": "none"})),
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => json!({"type": "any"}),
        ToolChoice::Allowed { required: false, .. } => json!({"type": "auto"}),
        ToolChoice::Function(name) => json!({"type": "tool", "name": name}),
    };
    let one_at_a_time = request.parallel_tool_calls == Some(false);
    if one_at_a_time && let Some(choice) = choice.as_object_mut() {
        choice.insert("disable_parallel_tool_use".into(), json!(true));
    }
    (one_at_a_time || request.tool_choice != ToolChoice::Auto).then_some(choice)
}
