//! Reads a request body.
//!
//! After the Open Responses specification (<https://www.openresponses.org/reference>, 2026-04-24) and OpenAI's reference
//! (<https://platform.openai.com/docs/api-reference/responses/create>). Of two that differ, the more lenient is followed, as
//! long as the meaning is the same.
//!
//! Invariant: every member is read, kept in `other`, or refused; one of a wrong type is never passed over.

use super::{Format, Request, input, tools};
use crate::{
    call::Refusal,
    members::{Members, wrong},
};
use serde_json::{Map, Value};

/// Members with fields of their own.
const TYPED: [&str; 14] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "include",
    "stream",
];
/// What may be included. Results of hosted tools may be asked for, and are never there: SDKs ask for them on their own.
const INCLUDE: [&str; 8] = [
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
];
const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];
const SUMMARIES: [&str; 3] = ["auto", "concise", "detailed"];
const VERBOSITIES: [&str; 3] = ["low", "medium", "high"];
const TRUNCATIONS: [&str; 2] = ["auto", "disabled"];
/// The specification's.
const TEMPERATURE_MAX: f64 = 2.0;
/// The specification's.
const TOP_LOGPROBS_MAX: u64 = 20;
/// The specification's: pairs of metadata, and characters of their keys and values.
const METADATA_MAX: (usize, usize, usize) = (16, 64, 512);
/// The specification's, of a response format.
const NAME_MAX_BYTES: usize = 64;
/// The name of a response format that has none; the specification lets it be left out.
const DEFAULT_FORMAT_NAME: &str = "response";

impl Request {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// With the path of the member that is no value at all, or that no provider can be asked for through this crate.
    pub fn read(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let members = Members::of_body(body);
        let model = members.needed_text("model")?.to_owned();
        let (format, verbosity) = text(&members)?;
        let (effort, summary) = reasoning(&members)?;
        let (tools, tool_choice) = tools::read(&members)?;
        Ok(Self {
            model,
            input: input::read(&members)?,
            instructions: members.text("instructions")?.map(str::to_owned),
            tools,
            tool_choice,
            parallel_tool_calls: members.flag("parallel_tool_calls")?,
            format,
            verbosity,
            effort,
            summary,
            max_output_tokens: members.count("max_output_tokens", 1, u64::MAX)?,
            temperature: members.number("temperature", 0.0, TEMPERATURE_MAX)?,
            top_p: members.number("top_p", 0.0, 1.0)?,
            top_logprobs: members.count("top_logprobs", 0, TOP_LOGPROBS_MAX)?,
            include: include(&members)?,
            stream: members.flag("stream")?.unwrap_or(false),
            other: other(body, &members)?,
        })
    }
}

fn text(members: &Members<'_>) -> Result<(Format, Option<String>), Refusal> {
    let Some(text) = members.object("text")? else { return Ok((Format::Text, None)) };
    text.only(&["format", "verbosity"])?;
    let verbosity = text.one_of("verbosity", &VERBOSITIES)?.map(str::to_owned);
    let Some(format) = text.object("format")? else { return Ok((Format::Text, verbosity)) };
    let format = match format.needed_text("type")? {
        "text" => format.only(&["type"]).map(|()| Format::Text)?,
        "json_object" => format.only(&["type"]).map(|()| Format::JsonObject)?,
        "json_schema" => json_schema(&format)?,
        _ => {
            let known = "must be one of text, json_object, json_schema";
            return Err(Refusal::invalid(format.path("type"), known));
        }
    };
    Ok((format, verbosity))
}

fn json_schema(format: &Members<'_>) -> Result<Format, Refusal> {
    format.only(&["type", "name", "description", "schema", "strict"])?;
    let name = format.text("name")?.unwrap_or(DEFAULT_FORMAT_NAME);
    if !is_name(name) {
        return Err(not_a_name(format.path("name")));
    }
    let Some(schema) = format.get("schema") else { return Err(format.missing("schema", "an object")) };
    if !schema.is_object() {
        return Err(wrong(format.path("schema"), "an object", schema));
    }
    Ok(Format::JsonSchema {
        name: name.to_owned(),
        description: format.text("description")?.map(str::to_owned),
        schema: schema.clone(),
        strict: format.flag("strict")?,
    })
}

/// Whether it can name a function or a format.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

pub(super) fn not_a_name(path: String) -> Refusal {
    Refusal::invalid(path, format!("must be 1 to {NAME_MAX_BYTES} of the characters a-z, A-Z, 0-9, _ and -"))
}

fn reasoning(members: &Members<'_>) -> Result<(Option<String>, Option<String>), Refusal> {
    let Some(reasoning) = members.object("reasoning")? else { return Ok((None, None)) };
    reasoning.only(&["effort", "summary", "generate_summary"])?;
    let effort = reasoning.one_of("effort", &EFFORTS)?;
    // The older name of the same.
    let older = reasoning.one_of("generate_summary", &SUMMARIES)?;
    let summary = reasoning.one_of("summary", &SUMMARIES)?.or(older);
    Ok((effort.map(str::to_owned), summary.map(str::to_owned)))
}

fn include(members: &Members<'_>) -> Result<Vec<String>, Refusal> {
    let read = |(at, value): (usize, &Value)| {
        let path = format!("include[{at}]");
        match value.as_str() {
            Some(text) if INCLUDE.contains(&text) => Ok(text.to_owned()),
            Some(_) => Err(Refusal::invalid(path, format!("must be one of {}", INCLUDE.join(", ")))),
            None => Err(wrong(path, "a string", value)),
        }
    };
    members.list("include")?.unwrap_or_default().iter().enumerate().map(read).collect()
}

/// The members without a field. What the protocol knows of them must be of its type; nulls are left out.
fn other(body: &Map<String, Value>, members: &Members<'_>) -> Result<Map<String, Value>, Refusal> {
    metadata(members)?;
    for name in ["user", "safety_identifier", "prompt_cache_key", "service_tier", "previous_response_id"] {
        members.text(name)?;
    }
    for name in ["store", "background"] {
        members.flag(name)?;
    }
    for name in ["presence_penalty", "frequency_penalty"] {
        members.number(name, -2.0, 2.0)?;
    }
    members.one_of("truncation", &TRUNCATIONS)?;
    members.count("max_tool_calls", 1, u64::MAX)?;
    members.object("stream_options")?;
    let kept = |(name, value): &(&String, &Value)| !value.is_null() && !TYPED.contains(&name.as_str());
    Ok(body.iter().filter(kept).map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn metadata(members: &Members<'_>) -> Result<(), Refusal> {
    let (pairs, key_max, value_max) = METADATA_MAX;
    let Some(value) = members.get("metadata") else { return Ok(()) };
    let Some(map) = value.as_object() else { return Err(wrong("metadata".into(), "an object", value)) };
    if map.len() > pairs {
        return Err(Refusal::invalid("metadata", format!("must have at most {pairs} members")));
    }
    for (key, value) in map {
        let path = format!("metadata.{key}");
        let Some(text) = value.as_str() else { return Err(wrong(path, "a string", value)) };
        if key.chars().count() > key_max || text.chars().count() > value_max {
            let most = format!("must be of at most {value_max} characters, its key of {key_max}");
            return Err(Refusal::invalid(path, most));
        }
    }
    Ok(())
}
