//! What a caller asked for, checked against the version's policy and turned into what the provider is asked.
//!
//! Invariant: only the members that the endpoint must change are changed; all other bytes of the body leave as
//! they came. Nothing reaches under the publisher's credential unless the version allows it by name.

use crate::{
    carry::Carry,
    disguise::Disguise,
    json_splice::{Members, Piece, SpliceError, join},
    output_format::{self, Repair},
    reach::Reach,
    shape,
};
use alphagate_contract::{
    endpoint::{Protocol, Target, VersionConfig},
    problem::{Code, Problem},
    quota::Amounts,
};
use alphagate_translate::anthropic;
use serde::Deserialize;
use serde_json::Value;

/// Bytes of text counted as one input token before the provider says what it was. A token is at least one
/// byte, so text uses at most this many times its estimate.
pub const BYTES_PER_TOKEN: u64 = 3;
/// Input tokens counted for an image or file; providers charge from a few hundred to about two thousand.
pub const TOKENS_PER_ATTACHMENT: u64 = 2_000;
/// Output tokens counted for a request without `max_output_tokens` on a version without a cap.
pub const OUTPUT_TOKENS_ASSUMED: u64 = 4_096;

/// Fields that this gateway acts on; twice the same one would be two meanings.
const ACTED_ON: [&str; 13] = [
    "model",
    "input",
    "stream",
    "instructions",
    "store",
    "tools",
    "max_output_tokens",
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "text",
    "metadata",
];

/// What goes to the provider, and what that means for the answer.
#[derive(Debug)]
pub struct Outgoing {
    /// The body, as parts of the caller's.
    pub pieces: Vec<Piece>,
    /// Whether the caller wants a stream.
    pub stream: bool,
    /// What to show instead of what the provider echoes.
    pub disguise: Disguise,
    /// What to reserve.
    pub estimate: Amounts,
    /// How the target is asked, and its answer told.
    pub carry: Carry,
}

impl Outgoing {
    /// The same, as parts of a body of its own: of this one.
    #[must_use]
    pub fn owned(mut self, original: &[u8]) -> Self {
        // JSON text is UTF-8.
        let text = String::from_utf8(join(original, &self.pieces)).unwrap_or_default();
        self.pieces = vec![Piece::New(text)];
        self
    }
}

/// Reads the body as a JSON object.
///
/// # Errors
/// 400, with `body_malformed` for what is not JSON.
pub fn members(body: &[u8]) -> Result<Members<'_>, Problem> {
    let members = Members::read(body).map_err(|error| match error {
        SpliceError::Malformed => Problem::new(Code::BodyMalformed),
        SpliceError::NotAnObject => {
            Problem::new(Code::ParameterInvalid).message("The request body must be a JSON object.")
        }
    })?;
    match ACTED_ON.iter().find(|field| members.count(field) > 1) {
        Some(field) => Err(invalid(field, "is given twice")),
        None => Ok(members),
    }
}

/// The text that names the endpoint: the header if there is one, else `model`.
///
/// # Errors
/// 400 when there is neither, or `model` is not a string.
pub fn asked_model(members: &Members<'_>, header: Option<String>) -> Result<String, Problem> {
    if let Some(name) = header {
        return Ok(name);
    }
    match string(members, "model")? {
        Some(name) => Ok(name),
        None => Err(Problem::new(Code::ParameterMissing)
            .message("Say which endpoint you want in `model`.")
            .param("model")),
    }
}

/// Checks the request against the version and makes the provider's; with an answer that is sent back to be mended, if there is
/// one.
///
/// # Errors
/// 400 with the field that the version does not allow, or that has an impossible value.
pub fn compose(
    members: &Members<'_>,
    config: &VersionConfig,
    target: &Target,
    shown_model: &str,
    repair: Option<&Repair>,
) -> Result<Outgoing, Problem> {
    check_policy(members, config)?;
    let reach = check_input(members, config)?;
    let stream = boolean(members, "stream")?.unwrap_or(false);
    let own_instructions = string(members, "instructions")?;
    let max_output_tokens = output_cap(members, config)?;

    let mut edits = vec![("model", Value::from(target.model.as_str()).to_string())];
    if let Some(hidden) = &config.instructions {
        edits.push(("instructions", Value::from(merged(hidden, own_instructions.as_deref())).to_string()));
    }
    let mut defaults = Vec::new();
    for (field, value) in &config.defaults {
        if members.count(field) == 0 {
            defaults.push(field.clone());
            edits.push((field.as_str(), value.to_string()));
        }
    }
    if let Some(text) = output_format::edit(members, config)? {
        edits.retain(|(field, _)| *field != "text");
        edits.push(("text", text));
    }
    if let Some(repair) = repair {
        edits.push(("input", repair.input(members)));
    }
    // What is kept here is not kept at the provider, too.
    if !config.allow.store || config.retain.is_some() {
        edits.retain(|(field, _)| *field != "store");
        edits.push(("store", "false".into()));
    }
    if let Some(cap) = max_output_tokens.edit {
        edits.retain(|(field, _)| *field != "max_output_tokens");
        edits.push(("max_output_tokens", cap.to_string()));
    }
    let added: usize = edits.iter().map(|(_, value)| value.len()).sum();
    let estimate = estimate(members, &reach, added as u64, max_output_tokens.effective, target);
    let pieces = members.splice(&edits);
    let disguise = Disguise {
        model: shown_model.to_owned(),
        provider_model: target.model.clone(),
        instructions: own_instructions.map_or(Value::Null, Value::from),
        hidden_instructions: config.instructions.clone(),
        defaults,
    };
    Ok(Outgoing { pieces, stream, disguise, estimate, carry: Carry::NATIVE })
}

/// Checks everything that reaches under the publisher's credential, the input aside, and what callers may not set.
///
/// # Errors
/// 400 with the field.
pub fn check_policy(members: &Members<'_>, config: &VersionConfig) -> Result<(), Problem> {
    check_state(members, config)?;
    check_tools(members, config)?;
    check_locked(members, config)?;
    shape::check(members, &config.shape)
}

/// What to reserve for a request that is text only and generates none.
#[must_use]
pub fn estimate_text(members: &Members<'_>, target: &Target) -> Amounts {
    estimate(members, &Reach::default(), 0, 0, target)
}

/// The publisher's instructions, and the caller's own after them.
#[must_use]
pub fn merged(hidden: &str, own: Option<&str>) -> String {
    match own {
        Some(own) if !own.is_empty() => format!("{hidden}\n\n{own}"),
        _ => hidden.to_owned(),
    }
}

fn check_state(members: &Members<'_>, config: &VersionConfig) -> Result<(), Problem> {
    let allow = &config.allow;
    let guarded = [
        ("previous_response_id", allow.previous_response_id),
        ("conversation", allow.conversation),
        ("prompt", allow.prompt),
    ];
    for (field, allowed) in guarded {
        if !allowed && members.get(field).is_some_and(|value| value != "null") {
            return Err(unsupported(field));
        }
    }
    if !allow.background && boolean(members, "background")?.unwrap_or(false) {
        return Err(unsupported("background"));
    }
    Ok(())
}

fn check_tools(members: &Members<'_>, config: &VersionConfig) -> Result<(), Problem> {
    #[derive(Deserialize)]
    struct Tool {
        r#type: String,
    }
    let Some(text) = members.get("tools").filter(|text| *text != "null") else { return Ok(()) };
    let tools: Vec<Tool> = serde_json::from_str(text)
        .map_err(|_| invalid("tools", "must be an array of objects, each with a `type`"))?;
    for (index, tool) in tools.iter().enumerate() {
        let own = matches!(tool.r#type.as_str(), "function" | "custom");
        if !own && !config.allow.tools.contains(&tool.r#type) {
            return Err(unsupported(&format!("tools[{index}].type")));
        }
    }
    Ok(())
}

fn check_locked(members: &Members<'_>, config: &VersionConfig) -> Result<(), Problem> {
    match config.locked.iter().find(|field| members.count(field) > 0) {
        Some(field) => Err(Problem::new(Code::ParameterUnsupported)
            .message(format!("`{field}` is set by this endpoint and cannot be set by callers."))
            .param(field.as_str())),
        None => Ok(()),
    }
}

fn check_input(members: &Members<'_>, config: &VersionConfig) -> Result<Reach, Problem> {
    let Some(text) = members.get("input") else { return Ok(Reach::default()) };
    let reach = Reach::read(text).map_err(|_| invalid("input", "is nested too deeply"))?;
    if reach.file_ids && !config.allow.file_ids {
        return Err(unsupported("input.file_id"));
    }
    if reach.references && !config.allow.previous_response_id {
        let message = "This endpoint keeps no items that could be referred to. Send the items themselves; with \
            `store: false`, SDKs do so on their own.";
        return Err(Problem::new(Code::ParameterUnsupported).message(message).param("input.item_reference"));
    }
    Ok(reach)
}

struct OutputCap {
    effective: u64,
    edit: Option<u64>,
}

fn output_cap(members: &Members<'_>, config: &VersionConfig) -> Result<OutputCap, Problem> {
    let set = |text: &str| {
        serde_json::from_str::<Option<u64>>(text)
            .map_err(|_| invalid("max_output_tokens", "must be a whole number of tokens"))
    };
    let own = match members.get("max_output_tokens") {
        Some(text) => set(text)?,
        None => config.defaults.get("max_output_tokens").and_then(Value::as_u64),
    };
    let cap = config.max_output_tokens.map(u64::from);
    let effective = match (own, cap) {
        (Some(own), Some(cap)) => own.min(cap),
        (Some(tokens), None) | (None, Some(tokens)) => tokens,
        (None, None) => assumed(config),
    };
    let edit = cap.filter(|_| own != Some(effective)).map(|_| effective);
    Ok(OutputCap { effective, edit })
}

/// Some providers want to be told a limit: whichever target is asked, it is not asked for more than was reserved.
fn assumed(config: &VersionConfig) -> u64 {
    let is_told = |target: &Target| target.protocol == Protocol::Anthropic;
    if config.targets.iter().any(is_told) { anthropic::MAX_TOKENS_DEFAULT } else { OUTPUT_TOKENS_ASSUMED }
}

fn estimate(members: &Members<'_>, reach: &Reach, added: u64, output: u64, target: &Target) -> Amounts {
    let text: u64 = members.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum();
    let text = text.saturating_add(added).saturating_sub(reach.inline_bytes);
    let input = text.div_ceil(BYTES_PER_TOKEN).saturating_add(reach.attachments * TOKENS_PER_ATTACHMENT);
    Amounts {
        requests: 1,
        input_tokens: input,
        output_tokens: output,
        cost_micros: target.price.map_or(0, |price| price.cost_micros(input, output)),
    }
}

fn string(members: &Members<'_>, field: &str) -> Result<Option<String>, Problem> {
    members.get(field).map_or(Ok(None), |text| {
        serde_json::from_str::<Option<String>>(text).map_err(|_| invalid(field, "must be a string"))
    })
}

fn boolean(members: &Members<'_>, field: &str) -> Result<Option<bool>, Problem> {
    members.get(field).map_or(Ok(None), |text| {
        serde_json::from_str::<Option<bool>>(text).map_err(|_| invalid(field, "must be true or false"))
    })
}

fn invalid(field: &str, what: &str) -> Problem {
    Problem::new(Code::ParameterInvalid).message(format!("`{field}` {what}.")).param(field)
}

fn unsupported(field: &str) -> Problem {
    Problem::new(Code::ParameterUnsupported)
        .message(format!(
            "This endpoint does not allow `{field}`: it reaches into the publisher's account at the provider."
        ))
        .param(field)
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
