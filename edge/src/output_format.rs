//! How the output schema of a version is asked for: as `text.format`; and how an answer that violates it is sent back.
//!
//! Pure. Invariant: a caller cannot ask for another format than the version's, and loses nothing else of its own `text`.

use crate::json_splice::Members;
use alphagate_contract::{
    endpoint::{OutputSchema, VersionConfig},
    problem::{Code, Problem},
};
use alphagate_translate::schema::Violation;
use serde_json::{Map, Value, json};

/// Most bytes of a violating answer that are shown to the model again.
const SHOWN_MAX_BYTES: usize = 256 * 1024;

/// The new value of `text`; none if the version has no schema.
///
/// # Errors
/// 400 when the caller asks for another format.
pub fn edit(members: &Members<'_>, config: &VersionConfig) -> Result<Option<String>, Problem> {
    let Some(output) = &config.output_schema else { return Ok(None) };
    let wanted = format(output);
    let own = match members.get("text") {
        Some(text) => serde_json::from_str::<Option<Map<String, Value>>>(text).map_err(|_| {
            Problem::new(Code::ParameterInvalid).message("`text` must be an object.").param("text")
        })?,
        None => config.defaults.get("text").and_then(Value::as_object).cloned().map(|mut text| {
            text.remove("format");
            text
        }),
    };
    let mut text = own.unwrap_or_default();
    match text.insert("format".into(), wanted.clone()) {
        Some(asked) if !asked.is_null() && asked != wanted => Err(Problem::new(Code::ParameterUnsupported)
            .message("`text.format` is set by this endpoint and cannot be set by callers.")
            .param("text.format")),
        _ => Ok(Some(Value::Object(text).to_string())),
    }
}

fn format(output: &OutputSchema) -> Value {
    let OutputSchema { name, schema, strict, .. } = output;
    json!({"type": "json_schema", "name": name, "schema": schema, "strict": strict})
}

/// An answer that is sent back to be mended.
#[derive(Debug, Clone)]
pub struct Repair {
    /// What the model said.
    pub answer: String,
    /// What is wrong with it.
    pub violation: Violation,
}

impl Repair {
    /// The caller's `input`, and behind it the answer and what is wrong with it.
    #[must_use]
    pub fn input(&self, members: &Members<'_>) -> String {
        let own = members.get("input").unwrap_or("null").trim();
        let mut input = String::from("[");
        match own.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(items) if items.trim().is_empty() => {}
            Some(items) => input.extend([items, ","]),
            None if own == "null" => {}
            None => input.extend([r#"{"role":"user","content":"#, own, "},"]),
        }
        let end = self.answer.floor_char_boundary(SHOWN_MAX_BYTES);
        let answer = self.answer.get(..end).filter(|answer| !answer.is_empty());
        if let Some(answer) = answer {
            input.push_str(&json!({"role": "assistant", "content": answer}).to_string());
            input.push(',');
        }
        input.push_str(&json!({"role": "developer", "content": self.told()}).to_string());
        input.push(']');
        input
    }

    fn told(&self) -> String {
        let Violation { path, message } = &self.violation;
        let place = if path.is_empty() { "as a whole" } else { path };
        format!(
            "Your answer violates the JSON schema that was asked for. First violation, {place}: {message}. \
             Answer again with JSON that holds to the schema, and with nothing else."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: Value) -> VersionConfig {
        let mut config = json!({"targets": [{"base_url": "https://x/v1", "model": "m"}],
            "output_schema": {"name": "out", "schema": {"type": "object"}, "strict": true}});
        config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn the_versions_format_is_asked_for_and_no_other() {
        let format =
            json!({"type": "json_schema", "name": "out", "schema": {"type": "object"}, "strict": true});
        let same = json!({"text": {"format": format, "verbosity": "low"}}).to_string();
        let defaults = json!({"defaults": {"text": {"verbosity": "high", "format": {"type": "text"}}}});
        let cases = [
            ("{}", json!({}), Ok(json!({"format": format}))),
            (r#"{"text":null}"#, json!({}), Ok(json!({"format": format}))),
            ("{}", defaults, Ok(json!({"format": format, "verbosity": "high"}))),
            (r#"{"text":{"verbosity":"low"}}"#, json!({}), Ok(json!({"format": format, "verbosity": "low"}))),
            (&same, json!({}), Ok(json!({"format": format, "verbosity": "low"}))),
            (r#"{"text":{"format":{"type":"text"}}}"#, json!({}), Err("text.format")),
            (r#"{"text":"x"}"#, json!({}), Err("text")),
        ];
        for (body, extra, expected) in cases {
            let members = Members::read(body.as_bytes()).unwrap();
            let found = edit(&members, &config(extra));
            let found = found.map(|text| serde_json::from_str(&text.unwrap()).unwrap());
            assert_eq!(
                found.map_err(|problem| problem.param.unwrap()),
                expected.map_err(str::to_owned),
                "{body}"
            );
        }
    }

    #[test]
    fn an_answer_is_sent_back_behind_whatever_the_input_was() {
        let violation = Violation { path: "/a".into(), message: "is missing".into() };
        let repair = Repair { answer: "{\"b\":1}".into(), violation };
        let cases = [
            (r#"{"input":"hi \u00e9"}"#, Some(json!({"role": "user", "content": "hi é"}))),
            (
                r#"{"input": [ {"role":"user","content":"x"} ] }"#,
                Some(json!({"role": "user", "content": "x"})),
            ),
            (r#"{"input":[ ]}"#, None),
            ("{}", None),
        ];
        for (body, first) in cases {
            let members = Members::read(body.as_bytes()).unwrap();
            let input: Vec<Value> = serde_json::from_str(&repair.input(&members)).unwrap();
            let (told, before) = input.split_last().unwrap();
            assert!(
                told["role"] == "developer" && told["content"].as_str().unwrap().contains("/a: is missing")
            );
            let answer = json!({"role": "assistant", "content": "{\"b\":1}"});
            assert_eq!(before, first.into_iter().chain([answer]).collect::<Vec<_>>(), "{body}");
        }
    }
}
