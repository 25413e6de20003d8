//! The request's body: which member of the caller's becomes which of the API's.
//!
//! Invariant: every member of the caller's request is sent, known to change nothing, or refused.

use super::{messages, other, schema, thinking, tools};
use crate::{
    call::{Call, Refusal},
    request::{Format, Request},
};
use serde_json::{Map, Value, json};

/// `max_tokens` for a caller who sets no `max_output_tokens`. Every model since Claude 3.7 can write as much (the
/// smallest limit of theirs is 32,000), and it is what the documentation's own examples with thoughts set.
pub const MAX_TOKENS_DEFAULT: u64 = 16_000;

/// The version of the API, <https://platform.claude.com/docs/en/api/versioning>.
const VERSION: &str = "2023-06-01";

/// What the API samples with at most; Responses goes to 2.
const TEMPERATURE_MAX: f64 = 1.0;

/// The one value of `include` that asks for what the API cannot tell. Sealed thoughts are always told, and what hosted tools
/// would give is never there.
const INCLUDE_LOGPROBS: &str = "message.output_text.logprobs";

/// What Anthropic is asked.
///
/// # Errors
/// A [`Refusal`] that names the caller's member, if there is one that the API cannot serve.
pub fn call(request: &Request) -> Result<Call, Refusal> {
    refuse_what_cannot_be(request)?;
    let max_tokens = max_tokens(request)?;
    let thoughts = thinking::thoughts(request, max_tokens)?;
    let conversation = messages::conversation(request)?;
    thinking::refuse_conflicts(request, &thoughts, conversation.ends_with_assistant)?;

    let mut body = Map::new();
    body.insert("model".into(), json!(request.model));
    body.insert("max_tokens".into(), json!(max_tokens));
    if !conversation.system.is_empty() {
        body.insert("system".into(), Value::Array(conversation.system));
    }
    body.insert("messages".into(), Value::Array(conversation.messages));
    tools::put(request, &mut body)?;
    put_output_config(request, thoughts.effort, &mut body)?;
    if let Some(thinking) = thoughts.thinking {
        body.insert("thinking".into(), thinking);
    }
    put_sampling(request, &mut body);
    if request.stream {
        body.insert("stream".into(), json!(true));
    }
    other::put(&request.other, &mut body)?;
    Ok(Call {
        path: "/messages".into(),
        headers: vec![("anthropic-version", VERSION.into())],
        body: Value::Object(body),
    })
}

fn refuse_what_cannot_be(request: &Request) -> Result<(), Refusal> {
    if request.top_logprobs.is_some_and(|count| count > 0) {
        return Err(Refusal::unsupported("top_logprobs", "this provider tells no log probabilities"));
    }
    if let Some(at) = request.include.iter().position(|include| include == INCLUDE_LOGPROBS) {
        let message = "this provider tells no log probabilities";
        return Err(Refusal::unsupported(format!("include[{at}]"), message));
    }
    // `medium` is the protocol's default: asking for it asks for nothing.
    if let Some(verbosity) = request.verbosity.as_deref().filter(|verbosity| *verbosity != "medium") {
        let message =
            format!("this provider has no verbosity; `{verbosity}` can be said in the instructions");
        return Err(Refusal::unsupported("text.verbosity", message));
    }
    if request.top_p.is_some_and(|top_p| !(0.0..=1.0).contains(&top_p)) {
        return Err(Refusal::invalid("top_p", "must be between 0 and 1"));
    }
    match request.temperature {
        Some(temperature) if temperature > TEMPERATURE_MAX => {
            Err(Refusal::unsupported("temperature", "this provider samples with at most 1"))
        }
        Some(temperature) if !(0.0..=TEMPERATURE_MAX).contains(&temperature) => {
            Err(Refusal::invalid("temperature", "must be between 0 and 2"))
        }
        _ => Ok(()),
    }
}

/// 1 is what the API does anyhow, of both. New models refuse all other values and old ones refuse both at once, so that it is
/// better not said: callers' libraries say it without being asked.
fn put_sampling(request: &Request, body: &mut Map<String, Value>) {
    for (name, value) in [("temperature", request.temperature), ("top_p", request.top_p)] {
        if let Some(value) = value.filter(|value| *value < 1.0) {
            body.insert(name.into(), json!(value));
        }
    }
}

fn max_tokens(request: &Request) -> Result<u64, Refusal> {
    match request.max_output_tokens {
        // The API takes it, as an order to fill its cache and answer nothing: not what the caller can mean.
        Some(0) => Err(Refusal::invalid("max_output_tokens", "must be at least 1")),
        Some(most) => Ok(most),
        None => Ok(MAX_TOKENS_DEFAULT),
    }
}

/// `output_config`: effort, and the answer's form.
///
/// The schema's name is a label that the API has no place for; it changes nothing in the answer. The API always holds
/// the model to the schema, which is also right where the caller does not insist (`strict: false`).
fn put_output_config(
    request: &Request,
    effort: Option<&'static str>,
    body: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    let mut config = Map::new();
    if let Some(effort) = effort {
        config.insert("effort".into(), json!(effort));
    }
    match &request.format {
        Format::Text => {}
        Format::JsonObject => {
            let message = "this provider needs a schema: `json_schema` with one is served";
            return Err(Refusal::unsupported("text.format", message));
        }
        Format::JsonSchema { description, schema, .. } => {
            if !schema.is_object() {
                return Err(Refusal::invalid("text.format.schema", "must be an object"));
            }
            let schema = schema::described(schema::restated(schema), description.as_deref());
            config.insert("format".into(), json!({"type": "json_schema", "schema": schema}));
        }
    }
    if !config.is_empty() {
        body.insert("output_config".into(), Value::Object(config));
    }
    Ok(())
}
