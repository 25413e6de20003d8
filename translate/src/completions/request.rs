//! A chat completion's request, as one of the Responses protocol.
//!
//! Invariant: every member is said in the Responses request, is at its default, or is refused by name.

use super::{
    messages::{Conversation, given, only, required_text},
    places,
};
use crate::{call::Refusal, request::Request};
use serde_json::{Map, Value, json};

/// A chat request, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The Responses request; `model` and `stream` are the caller's.
    pub body: Map<String, Value>,
    /// Whether the stream ends with a chunk that tells the usage.
    pub include_usage: bool,
    items: Vec<places::Place>,
    limit: &'static str,
}

/// Members that the Responses protocol does not have, and some providers do.
const NOT_IN_RESPONSES: [&str; 6] =
    ["frequency_penalty", "logit_bias", "prediction", "presence_penalty", "seed", "stop"];
/// Members that only the Responses protocol has: not the caller's to say here.
const ONLY_IN_RESPONSES: [&str; 13] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "text",
    "truncation",
];
/// Members of chat that no target serves, and what there is instead.
const REFUSED: [(&str, &str); 4] = [
    ("functions", "Functions are given as `tools`."),
    ("function_call", "Which function is called is said by `tool_choice`."),
    ("audio", "Answers are text."),
    ("web_search_options", "There is no web search here."),
];

impl Asked {
    /// The caller's name of a member of `body`, for refusals.
    #[must_use]
    pub fn name(&self, param: &str) -> String {
        places::name(param, &self.items, self.limit)
    }

    /// A refusal of `body`, in the caller's names.
    #[must_use]
    pub fn refusal(&self, refusal: Refusal) -> Refusal {
        Refusal { param: self.name(&refusal.param), ..refusal }
    }

    /// The request for a target that is reached by an adapter.
    ///
    /// # Errors
    /// In the caller's names, if a value is none that the protocol knows.
    pub fn request(&self) -> Result<Request, Refusal> {
        Request::read(&self.body).map_err(|refusal| self.refusal(refusal))
    }

    /// The request for a target that speaks Responses: without thoughts, which it could not open.
    ///
    /// # Errors
    /// If the caller asks what the Responses protocol has no word for.
    pub fn native(&self) -> Result<Map<String, Value>, Refusal> {
        if let Some(name) = NOT_IN_RESPONSES.iter().find(|name| self.body.contains_key(**name)) {
            return Err(Refusal::unsupported(
                *name,
                format!("This endpoint's provider cannot serve `{name}`."),
            ));
        }
        let mut body = self.body.clone();
        if let Some(input) = body.get_mut("input").and_then(Value::as_array_mut) {
            input.retain(|item| item.get("type").is_none_or(|kind| kind != "reasoning"));
        }
        Ok(body)
    }
}

/// Reads a chat request.
///
/// # Errors
/// If it is none, or asks what no target can do.
pub fn ask(chat: &Map<String, Value>) -> Result<Asked, Refusal> {
    refuse(chat)?;
    let messages = given(chat, "messages").and_then(Value::as_array);
    let messages = messages.filter(|messages| !messages.is_empty());
    let Some(messages) = messages else {
        return Err(Refusal::invalid("messages", "`messages` is a list of at least one message."));
    };
    let mut conversation = Conversation::default();
    for (index, message) in messages.iter().enumerate() {
        conversation.message(index, message)?;
    }
    let mut body = same_members(chat);
    let limit = limit(chat, &mut body)?;
    logprobs(chat, &mut body)?;
    text(chat, &mut body)?;
    tools(chat, &mut body)?;
    if let Some(effort) = given(chat, "reasoning_effort") {
        body.insert("reasoning".into(), json!({"effort": effort}));
    }
    body.insert("input".into(), conversation.items.into());
    body.entry("store").or_insert(Value::Bool(false));
    let include_usage = chat.get("stream_options").and_then(|options| options.get("include_usage"));
    let include_usage = include_usage.is_some_and(|include| include == true);
    Ok(Asked { body, include_usage, items: conversation.places, limit })
}

fn refuse(chat: &Map<String, Value>) -> Result<(), Refusal> {
    if let Some(name) = ONLY_IN_RESPONSES.iter().find(|name| given(chat, name).is_some()) {
        let message = format!("`{name}` is no member of a chat completion. Call `/v1/responses` to use it.");
        return Err(Refusal::unsupported(*name, message));
    }
    if let Some((name, message)) = REFUSED.iter().find(|(name, _)| given(chat, name).is_some()) {
        return Err(Refusal::unsupported(*name, *message));
    }
    if given(chat, "n").is_some_and(|n| n != 1) {
        return Err(Refusal::unsupported(
            "n",
            "One answer is given to a request. Send more requests for more answers.",
        ));
    }
    if given(chat, "modalities").is_some_and(|modalities| *modalities != json!(["text"])) {
        return Err(Refusal::unsupported("modalities", "Answers are text."));
    }
    Ok(())
}

/// Members that mean the same in both, and those that only some providers know.
fn same_members(chat: &Map<String, Value>) -> Map<String, Value> {
    const READ: [&str; 13] = [
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "modalities",
        "n",
        "reasoning_effort",
        "response_format",
        "stream_options",
        "tool_choice",
        "tools",
        "top_logprobs",
        "verbosity",
    ];
    let is_same = |(name, value): &(&String, &Value)| !value.is_null() && !READ.contains(&name.as_str());
    chat.iter().filter(is_same).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The older name of the limit means the same, for all that a caller can see.
fn limit(chat: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<&'static str, Refusal> {
    let old = given(chat, "max_tokens");
    let new = given(chat, "max_completion_tokens");
    if old.is_some() && new.is_some() && old != new {
        return Err(Refusal::invalid(
            "max_tokens",
            "`max_tokens` and `max_completion_tokens` are the same limit.",
        ));
    }
    if let Some(limit) = new.or(old) {
        body.insert("max_output_tokens".into(), limit.clone());
    }
    Ok(if new.is_none() && old.is_some() { "max_tokens" } else { "max_completion_tokens" })
}

fn logprobs(chat: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<(), Refusal> {
    let is_wanted = given(chat, "logprobs").is_some_and(|logprobs| logprobs == true);
    let top = given(chat, "top_logprobs");
    if is_wanted {
        body.insert("include".into(), json!(["message.output_text.logprobs"]));
        if let Some(top) = top {
            body.insert("top_logprobs".into(), top.clone());
        }
    } else if top.is_some_and(|top| top != 0) {
        return Err(Refusal::invalid("top_logprobs", "`top_logprobs` needs `logprobs: true`."));
    }
    Ok(())
}

fn text(chat: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<(), Refusal> {
    let mut text = Map::new();
    if let Some(format) = given(chat, "response_format") {
        text.insert("format".into(), format_of(format)?);
    }
    if let Some(verbosity) = given(chat, "verbosity") {
        text.insert("verbosity".into(), verbosity.clone());
    }
    if !text.is_empty() {
        body.insert("text".into(), text.into());
    }
    Ok(())
}

fn format_of(format: &Value) -> Result<Value, Refusal> {
    match format.get("type").and_then(Value::as_str) {
        Some("text" | "json_object") => Ok(format.clone()),
        Some("json_schema") => {
            let path = "response_format.json_schema";
            let Some(schema) = format.get("json_schema").and_then(Value::as_object) else {
                return Err(Refusal::invalid(path, "A schema is an object with `name` and `schema`."));
            };
            only(schema, path, &["name", "description", "schema", "strict"])?;
            let mut flat = schema.clone();
            flat.insert("type".into(), "json_schema".into());
            flat.entry("schema").or_insert_with(|| json!({"type": "object"}));
            Ok(flat.into())
        }
        _ => Err(Refusal::invalid(
            "response_format.type",
            "The type is `text`, `json_object` or `json_schema`.",
        )),
    }
}

fn tools(chat: &Map<String, Value>, body: &mut Map<String, Value>) -> Result<(), Refusal> {
    if let Some(tools) = given(chat, "tools") {
        let Some(tools) = tools.as_array() else {
            return Err(Refusal::invalid("tools", "`tools` is a list."));
        };
        let tools: Result<Vec<Value>, Refusal> = tools
            .iter()
            .enumerate()
            .map(|(index, tool)| flat_tool(tool, &format!("tools[{index}]")))
            .collect();
        body.insert("tools".into(), tools?.into());
    }
    if let Some(choice) = given(chat, "tool_choice") {
        body.insert("tool_choice".into(), flat_choice(choice)?);
    }
    Ok(())
}

/// A function that does not say `strict` is not strict in chat, and is in Responses.
fn flat_tool(tool: &Value, path: &str) -> Result<Value, Refusal> {
    if tool.get("type").is_none_or(|kind| kind != "function") {
        return Err(Refusal::unsupported(
            format!("{path}.type"),
            "Only tools of type `function` are served.",
        ));
    }
    let inner = format!("{path}.function");
    let Some(function) = tool.get("function").and_then(Value::as_object) else {
        return Err(Refusal::invalid(inner, "A function is an object with a `name`."));
    };
    only(function, &inner, &["name", "description", "parameters", "strict"])?;
    required_text(function.get("name"), &format!("{inner}.name"))?;
    let mut flat: Map<String, Value> = function
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    flat.insert("type".into(), "function".into());
    flat.entry("strict").or_insert(Value::Bool(false));
    flat.entry("parameters").or_insert_with(|| json!({"type": "object", "properties": {}}));
    Ok(flat.into())
}

fn flat_choice(choice: &Value) -> Result<Value, Refusal> {
    let function = |choice: &Value, path: &str| {
        let name = required_text(choice.pointer("/function/name"), &format!("{path}.function.name"))?;
        Ok(json!({"type": "function", "name": name}))
    };
    match choice.get("type").and_then(Value::as_str) {
        None if choice.is_string() => Ok(choice.clone()),
        Some("function") => function(choice, "tool_choice"),
        Some("allowed_tools") => {
            let path = "tool_choice.allowed_tools";
            let allowed = choice.get("allowed_tools").unwrap_or(&Value::Null);
            let tools = allowed.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate();
            let tools: Result<Vec<Value>, Refusal> =
                tools.map(|(index, tool)| function(tool, &format!("{path}.tools[{index}]"))).collect();
            let mode = required_text(allowed.get("mode"), &format!("{path}.mode"))?;
            Ok(json!({"type": "allowed_tools", "mode": mode, "tools": tools?}))
        }
        _ => Err(Refusal::unsupported("tool_choice", "Only functions can be chosen.")),
    }
}
