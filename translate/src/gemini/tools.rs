//! Functions, and which of them may be called (<https://ai.google.dev/gemini-api/docs/function-calling>).
//!
//! `parametersJsonSchema` takes JSON Schema, where `parameters` takes a subset of OpenAPI's. The mode `VALIDATED` lets the model
//! choose between text and calls, and holds calls to their schemas and to the allowed names: it is what `strict` and a list of
//! allowed functions mean. `ANY` holds to both anyway.
//!
//! Invariant: a choice is never sent without functions, and never weakened.

use crate::call::Refusal;
use crate::request::{Request, Tool, ToolChoice};
use serde_json::{Map, Value, json};

/// Puts `tools` and `toolConfig` into a body.
pub(super) fn put(request: &Request, body: &mut Map<String, Value>) -> Result<(), Refusal> {
    if request.tools.is_empty() {
        return Ok(());
    }
    if request.parallel_tool_calls == Some(false) {
        let message = "cannot be false: this provider's models may always call several functions at once";
        return Err(Refusal::unsupported("parallel_tool_calls", message));
    }
    let declarations = request.tools.iter().enumerate().map(declaration).collect::<Result<Vec<_>, _>>()?;
    body.insert("tools".to_owned(), json!([{"functionDeclarations": declarations}]));
    if let Some(config) = choice(request) {
        body.insert("toolConfig".to_owned(), json!({"functionCallingConfig": config}));
    }
    Ok(())
}

fn declaration((index, tool): (usize, &Tool)) -> Result<Value, Refusal> {
    if !is_name(&tool.name) {
        let message = "must begin with a letter or _ for this provider";
        return Err(Refusal::unsupported(format!("tools[{index}].name"), message));
    }
    let mut declaration = Map::from_iter([("name".to_owned(), Value::from(tool.name.as_str()))]);
    if let Some(description) = &tool.description {
        declaration.insert("description".to_owned(), description.as_str().into());
    }
    if let Some(parameters) = &tool.parameters {
        declaration.insert("parametersJsonSchema".to_owned(), parameters.clone());
    }
    Ok(declaration.into())
}

/// What a request's names may not be besides, <https://ai.google.dev/api/caching#FunctionDeclaration>.
fn is_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

/// None is the API's default, `AUTO`. That the names are of declared functions was seen to when the request was read.
fn choice(request: &Request) -> Option<Value> {
    let is_strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    Some(match &request.tool_choice {
        ToolChoice::Auto if is_strict => json!({"mode": "VALIDATED"}),
        ToolChoice::Auto => return None,
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Function(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
        ToolChoice::Allowed { required: true, names } => {
            json!({"mode": "ANY", "allowedFunctionNames": names})
        }
        ToolChoice::Allowed { required: false, names } => {
            json!({"mode": "VALIDATED", "allowedFunctionNames": names})
        }
    })
}
