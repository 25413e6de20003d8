//! Declared functions, and the choice among them.
//!
//! Invariant: a name is declared once, and only declared names can be chosen.

use super::schema;
use crate::provider::fault::{Fault, demand};
use crate::provider::place::Place;

const NAME_MAX_CHARS: usize = 64;
const TOOLS: [&str; 9] = [
    "functionDeclarations",
    "googleSearch",
    "googleSearchRetrieval",
    "googleMaps",
    "codeExecution",
    "urlContext",
    "fileSearch",
    "computerUse",
    "mcpServers",
];
const DECLARATION: [&str; 7] = [
    "name",
    "description",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
    "behavior",
];

/// Answers whether functions are declared.
pub(super) fn check(root: &Place<'_>) -> Result<bool, Fault> {
    let mut names: Vec<&str> = Vec::new();
    for tool in root.member("tools").map(|tools| tools.list()).transpose()?.unwrap_or_default() {
        tool.only(&TOOLS)?;
        let declarations = tool.member("functionDeclarations").map(|list| list.list()).transpose()?;
        for declaration in declarations.unwrap_or_default() {
            let name = declared(&declaration)?;
            demand(!names.contains(&name), || format!("Duplicate function declaration found: {name}"))?;
            names.push(name);
        }
    }
    let Some(config) = root.member("toolConfig") else { return Ok(!names.is_empty()) };
    config.only(&["functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"])?;
    if let Some(calling) = config.member("functionCallingConfig") {
        chosen(&calling, &names)?;
    }
    Ok(!names.is_empty())
}

fn declared<'a>(declaration: &Place<'a>) -> Result<&'a str, Fault> {
    declaration.only(&DECLARATION)?;
    let name = declaration.need("name")?;
    let text = name.text()?;
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    demand(begins && text.len() <= NAME_MAX_CHARS && text.chars().all(fits), || {
        format!(
            "{}: Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, \
             0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of {NAME_MAX_CHARS}.",
            name.path()
        )
    })?;
    let (own, json) = (declaration.member("parameters"), declaration.member("parametersJsonSchema"));
    demand(own.is_none() || json.is_none(), || {
        format!("{}: only one of parameters and parameters_json_schema may be set.", declaration.path())
    })?;
    if let Some(own) = own {
        schema::check(&own)?;
        let empty = own.value["properties"].as_object().is_none_or(serde_json::Map::is_empty);
        let at = || format!("{}: should be non-empty for OBJECT type", own.at("properties"));
        let is_object = own.value["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("object"));
        demand(!(is_object && empty), at)?;
    }
    if let Some(json) = json {
        json.object()?;
    }
    Ok(text)
}

fn chosen(calling: &Place<'_>, names: &[&str]) -> Result<(), Fault> {
    calling.only(&["mode", "allowedFunctionNames"])?;
    let mode = match calling.member("mode") {
        Some(mode) => mode.one_of(&["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"])?,
        None => "AUTO",
    };
    demand(!(mode == "ANY" && names.is_empty()), || {
        "Function calling config is set without function_declarations.".to_owned()
    })?;
    let Some(allowed) = calling.member("allowedFunctionNames") else { return Ok(()) };
    demand(matches!(mode, "ANY" | "VALIDATED"), || {
        format!("{}: should only be set when mode is ANY or VALIDATED", allowed.path())
    })?;
    for name in allowed.list()? {
        let known = names.contains(&name.text()?);
        demand(known, || format!("{}: is not a declared function", name.path()))?;
    }
    Ok(())
}
