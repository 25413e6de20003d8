//! The body of a request, checked as Gemini checks it.
//!
//! Invariant: a member of another protocol is an unknown name.

use serde_json::Value;

use super::{contents, generation, schema, tools};
use crate::provider::fault::{Fault, demand};
use crate::provider::place::{Place, Style};

const MEMBERS: [&str; 11] = [
    "model",
    "contents",
    "tools",
    "toolConfig",
    "safetySettings",
    "systemInstruction",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "store",
    "labels",
];
const GENERATION: [&str; 20] = [
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "responseLogprobs",
    "logprobs",
    "presencePenalty",
    "frequencyPenalty",
    "seed",
    "thinkingConfig",
    "mediaResolution",
    "speechConfig",
    "imageConfig",
    "enableEnhancedCivicAnswers",
];
const MIME_TYPES: [&str; 3] = ["text/plain", "application/json", "text/x.enum"];
const LEVELS: [&str; 10] =
    ["minimal", "low", "medium", "high", "xhigh", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"];
/// Gemini's own bound.
const STOPS_MAX: usize = 5;
/// The first generation that answers in JSON and calls functions in one request.
const JSON_AND_FUNCTIONS: u32 = 3;

/// Refuses what Gemini would. Answers whether the last turn brings results of functions.
pub(in crate::provider) fn check(body: &Value, model: &str) -> Result<bool, Fault> {
    let root = Place::root(body, Style::Gemini);
    root.only(&MEMBERS)?;
    if let Some(system) = root.member("systemInstruction") {
        system.only(&["parts", "role"])?;
        for part in system.need("parts")?.list()? {
            part.only(&["text"])?;
            part.need("text")?.text()?;
        }
    }
    let functions = tools::check(&root)?;
    if let Some(config) = root.member("generationConfig") {
        generation_config(&config)?;
        let json = config.value["responseMimeType"] == "application/json";
        let too_old = generation(model).is_some_and(|found| found < JSON_AND_FUNCTIONS);
        demand(!(json && too_old && functions), || {
            "Function calling with a response mime type: 'application/json' is unsupported".to_owned()
        })?;
    }
    for setting in
        root.member("safetySettings").map(|settings| settings.list()).transpose()?.unwrap_or_default()
    {
        setting.only(&["category", "threshold"])?;
        let known = setting.need("category")?.text()?.starts_with("HARM_CATEGORY_");
        demand(known, || format!("Invalid value at '{}.category'", setting.path()))?;
    }
    contents::check(&root, model)
}

fn generation_config(config: &Place<'_>) -> Result<(), Fault> {
    config.only(&GENERATION)?;
    config.bounded("temperature", 0.0..=2.0)?;
    config.bounded("topP", 0.0..=1.0)?;
    config.bounded("presencePenalty", -2.0..=2.0)?;
    config.bounded("frequencyPenalty", -2.0..=2.0)?;
    config.bounded("candidateCount", 1.0..=1.0)?;
    config.bounded("logprobs", 0.0..=20.0)?;
    config.whole("topK", 1)?;
    config.whole("maxOutputTokens", 1)?;
    if let Some(stops) = config.member("stopSequences") {
        let fits = stops.list()?.len() <= STOPS_MAX;
        demand(fits, || format!("{}: at most {STOPS_MAX} stop sequences", stops.path()))?;
    }
    demand(!config.has("logprobs") || config.value["responseLogprobs"] == true, || {
        "logprobs: response_logprobs must be true if logprobs is set".to_owned()
    })?;
    if let Some(thinking) = config.member("thinkingConfig") {
        thinking_config(&thinking)?;
    }
    output(config)
}

fn thinking_config(thinking: &Place<'_>) -> Result<(), Fault> {
    thinking.only(&["includeThoughts", "thinkingBudget", "thinkingLevel"])?;
    if let Some(level) = thinking.member("thinkingLevel") {
        level.one_of(&LEVELS)?;
    }
    demand(!(thinking.has("thinkingBudget") && thinking.has("thinkingLevel")), || {
        "You can only set only one of thinking budget and thinking level.".to_owned()
    })
}

fn output(config: &Place<'_>) -> Result<(), Fault> {
    if let Some(kind) = config.member("responseMimeType") {
        kind.one_of(&MIME_TYPES)?;
    }
    let (own, json) = (config.member("responseSchema"), config.member("responseJsonSchema"));
    demand(own.is_none() || json.is_none(), || {
        "Only one of response_schema and response_json_schema may be set.".to_owned()
    })?;
    let Some(schema) = own.as_ref().or(json.as_ref()) else { return Ok(()) };
    let mime = config.value["responseMimeType"].as_str().unwrap_or("text/plain");
    demand(mime != "text/plain", || {
        format!("Response schema with response mime type: '{mime}' is unsupported.")
    })?;
    match own {
        Some(own) => schema::check(&own),
        None => schema.object().map(|_| ()),
    }
}
