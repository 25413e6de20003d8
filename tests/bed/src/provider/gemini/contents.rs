//! The conversation: turns, their parts, and that every call of a function has its response in the next turn.
//!
//! Invariant: responses answer the calls of the turn before, one for one and by name.

use base64::alphabet;
use base64::engine::{
    DecodePaddingMode, Engine as _,
    general_purpose::{GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::Value;

use super::generation;
use super::render::SEAL;
use crate::provider::fault::{Fault, demand};
use crate::provider::place::Place;
use crate::provider::seal;

const DATA: [&str; 7] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
];
const BESIDES: [&str; 5] =
    ["thought", "thoughtSignature", "mediaResolution", "videoMetadata", "partMetadata"];
const MEDIA: [&str; 5] = ["image/", "audio/", "video/", "text/", "application/pdf"];
/// proto3 reads base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// What the documentation lets a history say that comes from another model.
const NO_SIGNATURE: [&str; 2] = ["context_engineering_is_the_way_to_go", "skip_thought_signature_validator"];
/// The first generation whose calls of functions are signed.
const SIGNS_CALLS: u32 = 3;

/// A turn: its role and what it calls or answers.
#[derive(Debug)]
struct Turn<'a> {
    is_model: bool,
    parts: Vec<Place<'a>>,
}

impl<'a> Turn<'a> {
    /// Names of what is called, or answered.
    fn names(&self, kind: &str) -> Vec<&'a str> {
        self.parts.iter().filter_map(|part| part.value[kind]["name"].as_str()).collect()
    }
}

/// Answers whether the last turn brings results of functions.
pub(super) fn check(root: &Place<'_>, model: &str) -> Result<bool, Fault> {
    let contents = root.member("contents").map(|contents| contents.list()).transpose()?.unwrap_or_default();
    demand(!contents.is_empty(), || {
        "* GenerateContentRequest.contents: contents is not specified".to_owned()
    })?;
    let turns = contents.iter().map(turn).collect::<Result<Vec<_>, _>>()?;
    for (index, turn) in turns.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| turns.get(before));
        follows(turn, before, turns.get(index + 1))?;
    }
    signed(&turns, model)?;
    let last = turns.last();
    demand(last.is_some_and(|last| !last.is_model), || {
        "Please ensure that multiturn requests end with a user role or a function response.".to_owned()
    })?;
    Ok(last.is_some_and(|last| !last.names("functionResponse").is_empty()))
}

fn turn<'a>(content: &Place<'a>) -> Result<Turn<'a>, Fault> {
    content.only(&["role", "parts"])?;
    let role = content.value.get("role").and_then(Value::as_str).unwrap_or("user");
    demand(matches!(role, "user" | "model" | "function"), || {
        "Please use a valid role: user, model.".to_owned()
    })?;
    let parts = content.member("parts").map(|parts| parts.list()).transpose()?.unwrap_or_default();
    demand(!parts.is_empty(), || {
        format!("* GenerateContentRequest.{}.parts: contents.parts must not be empty.", content.path())
    })?;
    for one in &parts {
        part(one)?;
    }
    Ok(Turn { is_model: role == "model", parts })
}

fn part(part: &Place<'_>) -> Result<(), Fault> {
    let known: Vec<&str> = DATA.into_iter().chain(BESIDES).collect();
    part.only(&known)?;
    let set: Vec<&str> = DATA.into_iter().filter(|name| part.has(name)).collect();
    let [kind] = set[..] else {
        let message = "required oneof field 'data' must have one initialized field";
        return Err(Fault::invalid(format!("* GenerateContentRequest.{}.data: {message}", part.path())));
    };
    let data = part.need(kind)?;
    match kind {
        "text" => data.text().map(|_| ())?,
        "inlineData" => inline(&data)?,
        "fileData" => file(&data)?,
        "functionCall" => {
            data.only(&["id", "name", "args"])?;
            data.need("name")?.text()?;
            data.member("args").map(|args| args.object()).transpose()?;
        }
        "functionResponse" => response(&data)?,
        _ => {}
    }
    let Some(signature) = part.member("thoughtSignature") else { return Ok(()) };
    let signature = signature.text()?;
    let ours = NO_SIGNATURE.contains(&signature) || seal::holds(SEAL, None, &standard(signature));
    demand(ours, || "Corrupted thought signature.".to_owned())
}

/// proto3 reads both alphabets of base64, and Google's own SDKs write the one for URLs.
fn standard(base64: &str) -> String {
    base64.replace('-', "+").replace('_', "/")
}

fn inline(data: &Place<'_>) -> Result<(), Fault> {
    data.only(&["mimeType", "data", "displayName"])?;
    let kind = data.need("mimeType")?.text()?;
    demand(MEDIA.iter().any(|media| kind.starts_with(media)), || format!("Unsupported MIME type: {kind}"))?;
    let bytes = data.need("data")?;
    let decodes = BASE64.decode(standard(bytes.text()?)).is_ok();
    demand(decodes, || format!("Invalid value at '{}' (TYPE_BYTES), Base64 decoding failed", bytes.path()))
}

fn file(data: &Place<'_>) -> Result<(), Fault> {
    data.only(&["mimeType", "fileUri", "displayName"])?;
    let uri = data.need("fileUri")?.text()?;
    let reachable = ["https://", "http://", "gs://"].iter().any(|scheme| uri.starts_with(scheme));
    demand(reachable, || format!("Invalid or unsupported file uri: {uri}"))
}

fn response(data: &Place<'_>) -> Result<(), Fault> {
    data.only(&["id", "name", "response", "parts", "willContinue", "scheduling"])?;
    let name = data.need("name")?.text()?;
    demand(!name.is_empty(), || format!("{}.name: Name cannot be empty.", data.path()))?;
    data.need("response")?.object().map(|_| ())
}

/// Calls come from the model behind a user, and responses from the user behind calls.
fn follows(turn: &Turn<'_>, before: Option<&Turn<'_>>, next: Option<&Turn<'_>>) -> Result<(), Fault> {
    let (called, answered) = (turn.names("functionCall"), turn.names("functionResponse"));
    if !called.is_empty() {
        demand(turn.is_model && before.is_some_and(|before| !before.is_model), || {
            "Please ensure that function call turn comes immediately after a user turn or after a function response \
             turn."
                .to_owned()
        })?;
        demand(next.is_some_and(|next| next.names("functionResponse").len() == called.len()), || {
            "Please ensure that the number of function response parts is equal to the number of function call parts \
             of the function call turn."
                .to_owned()
        })?;
    }
    if answered.is_empty() {
        return Ok(());
    }
    let mut open = before.map(|before| before.names("functionCall")).unwrap_or_default();
    demand(!turn.is_model && !open.is_empty(), || {
        "Please ensure that function response turn comes immediately after a function call turn.".to_owned()
    })?;
    for name in answered {
        let Some(at) = open.iter().position(|called| *called == name) else {
            return Err(Fault::invalid(format!(
                "Function response `{name}` does not match any function call of the function call turn."
            )));
        };
        open.swap_remove(at);
    }
    Ok(())
}

/// Since the last words of the user, the first call of every turn has its signature, for models that sign.
fn signed(turns: &[Turn<'_>], model: &str) -> Result<(), Fault> {
    if generation(model).is_none_or(|found| found < SIGNS_CALLS) {
        return Ok(());
    }
    let speaks = |turn: &Turn<'_>| !turn.is_model && turn.names("functionResponse").is_empty();
    let current = turns.iter().rposition(speaks).unwrap_or_default();
    for turn in turns.iter().skip(current).filter(|turn| turn.is_model) {
        let Some((position, call)) = turn.parts.iter().enumerate().find(|(_, part)| part.has("functionCall"))
        else {
            continue;
        };
        demand(call.has("thoughtSignature"), || {
            format!(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to \
                 work correctly, and missing thought_signature may lead to degraded model performance. Additional \
                 data, function call `default_api:{}`, position {}.",
                call.value["functionCall"]["name"].as_str().unwrap_or_default(),
                position + 1
            )
        })?;
    }
    Ok(())
}
