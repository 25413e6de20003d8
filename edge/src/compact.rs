//! `POST /v1/responses/compact`: a conversation made short by its model, to be continued from there by any target.
//!
//! After the Open Responses specification of 2026-04-24, "Context compaction" (<https://www.openresponses.org/specification>,
//! `CompactResource`). A target that speaks Responses is asked for its own compaction; its item is of use to that provider
//! alone. Any other one is asked for a summary through the ordinary way, with the version's instructions, caps and prohibitions;
//! that item is understood wherever it is sent.
//!
//! Pure. Invariant: the answer is a `response.compaction` with the usage of what was asked, or an error.

use crate::{
    carry,
    conversation::{self, joined},
    json_splice::{Members, join},
    request::{self, Outgoing},
};
use alphagate_contract::{
    endpoint::{Target, VersionConfig},
    problem::{Code, Problem},
};
use alphagate_translate::compaction;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

/// What may be asked of a target that writes a summary: the specification's fields, and those that change no answer.
const FIELDS: [&str; 9] = [
    "model",
    "input",
    "instructions",
    "previous_response_id",
    "prompt_cache_key",
    "service_tier",
    "metadata",
    "user",
    "safety_identifier",
];
/// The version's defaults that are about an answer, and not about a summary.
const NOT_OF_A_SUMMARY: [&str; 5] = ["tools", "tool_choice", "parallel_tool_calls", "text", "include"];
/// Marks that a body may have compaction items in it.
const MARK: &str = "\"compaction\"";

/// Checks the request against the version and makes the provider's.
///
/// # Errors
/// 400 with the field that the version does not allow, or that has an impossible value.
pub fn compose(
    members: &Members<'_>,
    config: &VersionConfig,
    target: &Target,
    shown_model: &str,
) -> Result<Outgoing, Problem> {
    if members.get("stream").is_some_and(|stream| !matches!(stream, "false" | "null")) {
        let message = "A compaction comes as one answer: leave `stream` out.";
        return Err(Problem::new(Code::ParameterUnsupported).message(message).param("stream"));
    }
    let input = conversation::items(members.get("input").filter(|input| *input != "null"))?;
    if input.is_empty() {
        let message = "Send in `input` the conversation that is to be made short.";
        return Err(Problem::new(Code::ParameterMissing).message(message).param("input"));
    }
    let config = of_a_summary(config);
    if carry::adapter(target).is_none() {
        return native(members, &config, target, shown_model);
    }
    if let Some((field, _)) = members.iter().find(|(name, _)| !FIELDS.contains(name) && *name != "stream") {
        return Err(Problem::new(Code::ParameterUnsupported)
            .message(format!("`{field}` means nothing for a compaction."))
            .param(field));
    }
    let edits = [("input", format!("[{},{}]", joined(&input), compaction::question()))];
    let text = join(members.text().as_bytes(), &members.splice(&edits));
    let members = request::members(&text)?;
    carry::responses(&members, &config, target, shown_model, None).map(|outgoing| outgoing.owned(&text))
}

fn of_a_summary(config: &VersionConfig) -> VersionConfig {
    let mut config = config.clone();
    config.output_schema = None;
    config.defaults.retain(|field, _| !NOT_OF_A_SUMMARY.contains(&field.as_str()));
    config
}

fn native(
    members: &Members<'_>,
    config: &VersionConfig,
    target: &Target,
    shown_model: &str,
) -> Result<Outgoing, Problem> {
    let mut outgoing = request::compose(members, config, target, shown_model, None)?;
    let mut edits = vec![("model", Value::from(target.model.as_str()).to_string())];
    if let Some(hidden) = &config.instructions {
        let own = outgoing.disguise.instructions.as_str();
        edits.push(("instructions", Value::from(request::merged(hidden, own)).to_string()));
    }
    // Whatever else a response would be sent with, a compaction does not know.
    outgoing.pieces = members.splice(&edits);
    Ok(outgoing)
}

/// The body with the summaries in the place of our own compaction items; none: it has none.
#[must_use]
pub fn expanded(members: &Members<'_>) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Item {
        r#type: Option<String>,
        encrypted_content: Option<String>,
    }
    let text = members.get("input").filter(|input| input.contains(MARK))?;
    let mut items: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
    let mut is_changed = false;
    for item in &mut items {
        let Ok(read) = serde_json::from_str::<Item>(item.get()) else { continue };
        let content = read.encrypted_content.filter(|_| read.r#type.as_deref() == Some("compaction"));
        if let Some(summary) = content.as_deref().and_then(compaction::unpack) {
            *item = serde_json::value::to_raw_value(&compaction::message(&summary)).ok()?;
            is_changed = true;
        }
    }
    let edits = [("input", format!("[{}]", joined(&items)))];
    is_changed.then(|| join(members.text().as_bytes(), &members.splice(&edits)))
}

/// The compaction that an answer is: the provider's own, or one of the summary that the model wrote.
///
/// # Errors
/// 502 when it is neither.
pub fn concluded(answer: &[u8]) -> Result<String, Problem> {
    let unreadable = || Problem::new(Code::UpstreamIncomplete);
    let members = Members::read(answer).map_err(|_| unreadable())?;
    if members.get("object") == Some("\"response.compaction\"") {
        return Ok(members.without(&["model"]));
    }
    let response: Response = serde_json::from_slice(answer).map_err(|_| unreadable())?;
    let summary = response.summary();
    if response.status != "completed" || summary.trim().is_empty() {
        let message =
            "The model did not write a whole summary. Send less, or raise the endpoint's cap on output.";
        return Err(Problem::new(Code::UpstreamIncomplete).message(message));
    }
    let hex = response.id.rsplit('_').next().unwrap_or_default();
    let item = json!({"type": "compaction", "id": format!("cmp_{hex}"), "encrypted_content": compaction::pack(&summary)});
    let usage = response.usage.unwrap_or_else(nothing);
    let compacted = json!({
        "id": response.id, "object": "response.compaction", "created_at": response.created_at, "output": [item],
        "usage": usage,
    });
    Ok(compacted.to_string())
}

/// What a response says of its use that says nothing.
fn nothing() -> Value {
    json!({
        "input_tokens": 0, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 0,
    })
}

#[derive(Deserialize)]
struct Response {
    id: String,
    created_at: Value,
    status: String,
    output: Vec<Said>,
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Said {
    content: Option<Vec<Part>>,
    r#type: String,
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

impl Response {
    fn summary(&self) -> String {
        let messages = self.output.iter().filter(|item| item.r#type == "message");
        let parts = messages.flat_map(|item| item.content.iter().flatten());
        parts.filter(|part| part.r#type == "output_text").filter_map(|part| part.text.as_deref()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(protocol: &str) -> VersionConfig {
        let target = json!({"base_url": "https://x/v1", "model": "m-1", "protocol": protocol});
        serde_json::from_value(json!({"targets": [target], "instructions": "Hidden.",
            "defaults": {"tools": [], "temperature": 0.5}, "output_schema": {"name": "n", "schema": {"type": "object"}}}))
        .unwrap()
    }

    fn sent(body: &str, protocol: &str) -> Result<Value, Problem> {
        let config = config(protocol);
        let members = Members::read(body.as_bytes()).unwrap();
        let outgoing = compose(&members, &config, &config.targets[0], "poet")?;
        assert!(outgoing.estimate.input_tokens > 0 && !outgoing.stream);
        Ok(serde_json::from_slice(&join(body.as_bytes(), &outgoing.pieces)).unwrap())
    }

    #[test]
    fn a_native_target_is_asked_with_the_models_name_and_the_instructions_only() {
        let body = r#"{"model":"poet","input":"Hi.","prompt_cache_key":"k","instructions":"Own."}"#;
        let expected = json!({"model": "m-1", "input": "Hi.", "prompt_cache_key": "k",
            "instructions": "Hidden.\n\nOwn."});
        assert_eq!(sent(body, "responses").unwrap(), expected);
    }

    #[test]
    fn others_are_asked_for_a_summary_without_tools_and_schema() {
        let sent = sent(r#"{"model":"poet","input":[{"role":"user","content":"Hi."}]}"#, "chat").unwrap();
        let last = sent["messages"].as_array().unwrap().last().unwrap().to_string();
        assert!(last.contains(compaction::INSTRUCTION), "{sent}");
        assert_eq!((&sent["response_format"], &sent["tools"]), (&Value::Null, &Value::Null));
        assert!(sent.to_string().contains("Hidden."));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let cases = [
            (r#"{"model":"poet"}"#, Code::ParameterMissing, "input"),
            (r#"{"model":"poet","input":[]}"#, Code::ParameterMissing, "input"),
            (r#"{"model":"poet","input":"x","stream":true}"#, Code::ParameterUnsupported, "stream"),
            (r#"{"model":"poet","input":"x","tools":[]}"#, Code::ParameterUnsupported, "tools"),
        ];
        for (body, code, param) in cases {
            let problem = sent(body, "chat").unwrap_err();
            assert_eq!((problem.code, problem.param.as_deref()), (code, Some(param)), "{body}");
        }
    }

    #[test]
    fn an_answer_is_a_compaction_and_its_item_goes_back_as_a_message() {
        let answer = json!({"id": "resp_1f", "object": "response", "created_at": 7, "status": "completed", "usage": null,
            "output": [{"type": "reasoning"}, {"type": "message", "content": [{"type": "output_text", "text": "It was slate."}]}]});
        let made: Value = serde_json::from_str(&concluded(answer.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(
            (&made["object"], &made["output"][0]["id"]),
            (&json!("response.compaction"), &json!("cmp_1f"))
        );
        assert_eq!(made["usage"]["total_tokens"], 0);
        let foreign = json!({"type": "compaction", "encrypted_content": "theirs"});
        let body = json!({"model": "poet", "input": [made["output"][0], foreign, "compaction"]}).to_string();
        let expanded = expanded(&Members::read(body.as_bytes()).unwrap()).unwrap();
        let expanded: Value = serde_json::from_slice(&expanded).unwrap();
        assert_eq!(expanded["input"][0], compaction::message("It was slate."));
        assert_eq!(expanded["input"][1], foreign);
        let mut cut = answer;
        cut["status"] = json!("incomplete");
        assert_eq!(concluded(cut.to_string().as_bytes()).unwrap_err().code, Code::UpstreamIncomplete);
        let own = br#"{"id":"r","object":"response.compaction","model":"m-1","output":[]}"#;
        assert_eq!(concluded(own).unwrap(), r#"{"id":"r","object":"response.compaction","output":[]}"#);
    }
}
