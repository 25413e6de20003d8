//! The output schemas of versions, compiled once for an isolate, and whether an answer holds to one.
//!
//! Invariant: only a final answer's text is checked. A refusal, an incomplete response and one that calls a function are
//! none, and pass as they are. A completed response that has neither text nor a call violates every schema.

use crate::{disguise::Usage, resolve::Route};
use alphagate_contract::{
    id::EndpointId,
    problem::{Code, Problem},
};
use alphagate_translate::schema::{Schema, Violation};
use serde::Deserialize;
use serde_json::json;
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// Most that is kept, in weights of schemas: at 128 kB for a pattern at worst, 16 MB.
const WEIGHT_MAX: usize = 128;

/// Compiled schemas by version, which never changes.
#[derive(Default)]
struct Schemas {
    known: HashMap<(EndpointId, u32), Rc<Schema>>,
    weight: usize,
}

thread_local! {
    static SCHEMAS: RefCell<Schemas> = RefCell::default();
}

/// An answer that violates its schema.
#[derive(Debug)]
pub struct Violated {
    /// The text.
    pub answer: String,
    /// What it violates first.
    pub violation: Violation,
    /// What the provider says that it used.
    pub usage: Option<Usage>,
}

/// The schema that a route's answers are checked against, if its version has one.
///
/// # Errors
/// 502 when it cannot be compiled; control takes no such version.
pub fn of(route: &Route) -> Result<Option<Rc<Schema>>, Problem> {
    let Some(output) = &route.config()?.output_schema else { return Ok(None) };
    let version = (route.endpoint, route.version);
    if let Some(known) = SCHEMAS.with_borrow(|schemas| schemas.known.get(&version).cloned()) {
        return Ok(Some(known));
    }
    let schema = Rc::new(Schema::compile(&output.schema).map_err(|_| Code::EndpointMisconfigured)?);
    SCHEMAS.with_borrow_mut(|schemas| {
        if schemas.weight + schema.weight() > WEIGHT_MAX {
            // Simple and rare: compiling one takes a millisecond.
            schemas.known.clear();
            schemas.weight = 0;
        }
        schemas.weight += schema.weight();
        schemas.known.insert(version, Rc::clone(&schema));
    });
    Ok(Some(schema))
}

/// Checks a completed response object; with the violation comes the text.
///
/// # Errors
/// What its text violates first.
pub fn check(schema: &Schema, response: &[u8]) -> Result<(), (String, Violation)> {
    let Some(text) = final_text(response) else { return Ok(()) };
    schema.validate(&text).map_err(|violation| (text, violation))
}

/// What a violation means for the caller.
#[must_use]
pub fn problem(violation: &Violation) -> Problem {
    let Violation { path, message } = violation;
    let place = if path.is_empty() { "The answer" } else { path.as_str() };
    Problem::new(Code::OutputSchemaMismatch)
        .message(format!("The model's answer violates this endpoint's output schema. {place}: {message}."))
        .param(path.as_str())
        .details(json!({"path": path, "message": message}))
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    output: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    r#type: String,
    content: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

/// The text that is to hold to the schema; none if the response is no final answer. What cannot be read has none, as `""`.
fn final_text(response: &[u8]) -> Option<String> {
    let Ok(Response { output }) = serde_json::from_slice(response) else { return Some(String::new()) };
    let mut text = String::new();
    for item in output {
        match item.r#type.as_str() {
            "reasoning" => {}
            "message" => {
                for part in item.content.unwrap_or_default() {
                    match part.r#type.as_str() {
                        "refusal" => return None,
                        "output_text" => text.push_str(&part.text.unwrap_or_default()),
                        _ => {}
                    }
                }
            }
            kind if kind.ends_with("_call") => {
                // Hosted tools' calls have ended with the answer that follows them.
                if matches!(kind, "function_call" | "custom_tool_call" | "computer_call" | "local_shell_call")
                {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_of_a_final_answer_is_checked() {
        let schema = Schema::compile(&json!({"type": "object", "required": ["a"]})).unwrap();
        let message = |content: serde_json::Value| json!({"type": "message", "content": content});
        let text = |text: &str| json!({"type": "output_text", "text": text});
        let cases = [
            (json!([message(json!([text("{\"a\":1}")]))]), None),
            (json!([message(json!([text("{\"a\":"), text("1}")]))]), None),
            (json!([{"type": "reasoning", "content": null}, message(json!([text("{}")]))]), Some("{}")),
            (json!([message(json!([{"type": "refusal", "refusal": "No."}]))]), None),
            (json!([{"type": "function_call", "arguments": "{}"}]), None),
            (json!([message(json!([text("Wait.")])), {"type": "custom_tool_call"}]), None),
            (json!([{"type": "web_search_call"}, message(json!([text("{}")]))]), Some("{}")),
            (json!([]), Some("")),
            (json!("x"), Some("")),
        ];
        for (output, violating) in cases {
            let response = json!({"status": "completed", "output": output}).to_string();
            let found = check(&schema, response.as_bytes()).err();
            assert_eq!(found.map(|(text, _)| text).as_deref(), violating, "{response}");
        }
        assert!(check(&schema, b"<html>").is_err());
    }
}
