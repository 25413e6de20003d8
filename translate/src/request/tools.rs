//! Reads the tools, and which of them may be called.
//!
//! Invariant: a choice names tools that are there; a tool that is no function is refused, since only its own provider has it.

use super::{
    Tool, ToolChoice,
    read::{is_name, not_a_name},
};
use crate::{
    call::Refusal,
    members::{Members, wrong},
};
use serde_json::Value;

/// The specification's, of allowed tools.
const ALLOWED_MAX: usize = 128;

pub(super) fn read(members: &Members<'_>) -> Result<(Vec<Tool>, ToolChoice), Refusal> {
    let list = members.list("tools")?.unwrap_or_default();
    let tools: Vec<Tool> = list.iter().enumerate().map(tool).collect::<Result<_, _>>()?;
    let choice = choice(members, &tools)?;
    Ok((tools, choice))
}

fn tool((at, value): (usize, &Value)) -> Result<Tool, Refusal> {
    let tool = Members::of(value, format!("tools[{at}]"))?;
    if tool.needed_text("type")? != "function" {
        return Err(Refusal::unsupported(
            tool.path("type"),
            "only tools of type function can be asked of any provider",
        ));
    }
    let name = tool.needed_text("name")?;
    if !is_name(name) {
        return Err(not_a_name(tool.path("name")));
    }
    tool.only(&["type", "name", "description", "parameters", "strict"])?;
    tool.object("parameters")?;
    Ok(Tool {
        name: name.to_owned(),
        description: tool.text("description")?.map(str::to_owned),
        parameters: tool.get("parameters").cloned(),
        strict: tool.flag("strict")?,
    })
}

fn choice(members: &Members<'_>, tools: &[Tool]) -> Result<ToolChoice, Refusal> {
    let Some(value) = members.get("tool_choice") else { return Ok(ToolChoice::Auto) };
    let choice = match value {
        Value::String(mode) => of_mode(mode, "tool_choice")?,
        Value::Object(_) => object(&Members::of(value, "tool_choice".into())?, tools)?,
        _ => return Err(wrong("tool_choice".into(), "a string or an object", value)),
    };
    if choice == ToolChoice::Required && tools.is_empty() {
        return Err(Refusal::invalid("tool_choice", "requires a call, and there are no tools"));
    }
    Ok(choice)
}

fn of_mode(mode: &str, path: &str) -> Result<ToolChoice, Refusal> {
    match mode {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Err(Refusal::invalid(path, "must be one of none, auto, required")),
    }
}

fn object(choice: &Members<'_>, tools: &[Tool]) -> Result<ToolChoice, Refusal> {
    match choice.needed_text("type")? {
        "function" => function(choice, tools).map(ToolChoice::Function),
        "allowed_tools" => allowed(choice, tools),
        _ => Err(Refusal::unsupported(
            choice.path("type"),
            "only function and allowed_tools can be asked of any provider",
        )),
    }
}

fn function(choice: &Members<'_>, tools: &[Tool]) -> Result<String, Refusal> {
    choice.only(&["type", "name"])?;
    let name = choice.needed_text("name")?;
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(name.to_owned());
    }
    Err(Refusal::invalid(choice.path("name"), "is not the name of one of the tools"))
}

fn allowed(choice: &Members<'_>, tools: &[Tool]) -> Result<ToolChoice, Refusal> {
    choice.only(&["type", "mode", "tools"])?;
    let list = choice.list("tools")?.ok_or_else(|| choice.missing("tools", "an array"))?;
    if list.is_empty() || list.len() > ALLOWED_MAX {
        return Err(Refusal::invalid(choice.path("tools"), format!("must name 1 to {ALLOWED_MAX} tools")));
    }
    let name = |(at, value): (usize, &Value)| {
        let one = Members::of(value, format!("{}[{at}]", choice.path("tools")))?;
        match one.needed_text("type")? {
            "function" => function(&one, tools),
            _ => Err(Refusal::unsupported(
                one.path("type"),
                "only tools of type function can be asked of any provider",
            )),
        }
    };
    let names = list.iter().enumerate().map(name).collect::<Result<_, _>>()?;
    Ok(match of_mode(choice.text("mode")?.unwrap_or("auto"), &choice.path("mode"))? {
        ToolChoice::None => ToolChoice::None,
        mode => ToolChoice::Allowed { required: mode == ToolChoice::Required, names },
    })
}
