//! A response object, as a chat completion.
//!
//! Invariant: calls keep their order, ids and arguments; texts of several messages are one, as chat has one message.

use super::{
    error::envelope,
    usage::{annotation, logprobs, usage},
};
use serde_json::{Map, Value, json};

/// Between the parts of a summary, which chat shows as one text.
pub const BETWEEN_SUMMARIES: &str = "\n\n";

/// The chat completion that a response is, under the name by which the caller called the model.
///
/// # Errors
/// The error envelope, if the response failed or was cancelled.
pub fn completion(response: &Value, model: &str) -> Result<Value, Value> {
    let status = response.get("status").and_then(Value::as_str).unwrap_or("completed");
    if !matches!(status, "completed" | "incomplete") {
        return Err(envelope(response.get("error").unwrap_or(&Value::Null)));
    }
    let output: Vec<&Value> =
        response.get("output").and_then(Value::as_array).into_iter().flatten().collect();
    let message = message(&output);
    let reason = finish_reason(response, message.contains_key("tool_calls"));
    let tokens = parts(&output, "output_text").filter_map(|part| part.get("logprobs")?.as_array()).flatten();
    let mut completion = json!({
        "id": id(response),
        "object": "chat.completion",
        "created": created(response),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": logprobs(tokens), "finish_reason": reason}],
    });
    if let Some(completion) = completion.as_object_mut() {
        completion.extend(usage(response).map(|usage| ("usage".to_owned(), usage)));
        completion.extend(service_tier(response).map(|tier| ("service_tier".to_owned(), tier)));
    }
    Ok(completion)
}

fn message(output: &[&Value]) -> Map<String, Value> {
    let text = |kind, member| -> Option<String> {
        let texts: Vec<&str> = parts(output, kind).filter_map(|part| part.get(member)?.as_str()).collect();
        (!texts.is_empty()).then(|| texts.concat())
    };
    let calls: Vec<Value> =
        output.iter().filter(|item| is_kind(item, "function_call")).map(|item| call(item)).collect();
    let annotations =
        parts(output, "output_text").filter_map(|part| part.get("annotations")?.as_array()).flatten();
    let annotations: Vec<Value> = annotations.filter_map(annotation).collect();
    let refusal = text("refusal", "refusal");
    let content = text("output_text", "text");
    // A message that says nothing at all says an empty text.
    let content = content.or_else(|| (calls.is_empty() && refusal.is_none()).then(String::new));
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    message.insert("content".into(), content.into());
    message.insert("refusal".into(), refusal.into());
    message.insert("annotations".into(), annotations.into());
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    message.extend(thoughts(output).map(|thoughts| ("reasoning_content".to_owned(), thoughts.into())));
    message
}

fn is_kind(item: &Value, kind: &str) -> bool {
    item.get("type").is_some_and(|of| of == kind)
}

/// The parts of all messages that are of a kind.
fn parts<'a>(output: &'a [&'a Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let contents = output
        .iter()
        .filter(|item| is_kind(item, "message"))
        .filter_map(|item| item.get("content")?.as_array());
    contents.flatten().filter(move |part| is_kind(part, kind))
}

fn call(item: &Value) -> Value {
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    json!({
        "id": text("call_id"),
        "type": "function",
        "function": {"name": text("name"), "arguments": text("arguments")},
    })
}

/// The thoughts themselves where they are shown, else their summary.
fn thoughts(output: &[&Value]) -> Option<String> {
    let texts = |member: &str| -> Vec<&str> {
        let items = output.iter().filter(|item| is_kind(item, "reasoning"));
        let parts = items.filter_map(|item| item.get(member)?.as_array()).flatten();
        parts.filter_map(|part| part.get("text")?.as_str()).collect()
    };
    let shown = texts("content").concat();
    let all = if shown.is_empty() { texts("summary").join(BETWEEN_SUMMARIES) } else { shown };
    (!all.is_empty()).then_some(all)
}

/// Why the model ended, in chat's words.
pub fn finish_reason(response: &Value, has_calls: bool) -> &'static str {
    match response.pointer("/incomplete_details/reason").and_then(Value::as_str) {
        Some("content_filter") => "content_filter",
        // Whatever else cut the answer short: it is not whole.
        Some(_) => "length",
        None if has_calls => "tool_calls",
        None => "stop",
    }
}

/// The completion's id, made from the response's.
pub fn id(response: &Value) -> String {
    let id = response.get("id").and_then(Value::as_str).unwrap_or_default();
    format!("chatcmpl-{}", id.strip_prefix("resp_").unwrap_or(id))
}

/// When it was made, in whole seconds; some providers tell fractions.
pub fn created(response: &Value) -> u64 {
    let at = response.get("created_at");
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and cuts off the fraction"
    )]
    let seconds = at.and_then(Value::as_f64).map(|at| at as u64);
    at.and_then(Value::as_u64).or(seconds).unwrap_or_default()
}

/// In which tier it was served, if that is told.
pub fn service_tier(response: &Value) -> Option<Value> {
    response.get("service_tier").filter(|tier| tier.is_string()).cloned()
}
