//! A JSON schema in the form that the API holds a model to.
//!
//! The API's grammar knows no bounds of numbers, lengths and counts, few formats, no `oneOf`, and wants every object closed
//! (<https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations>). Anthropic's SDKs put
//! such bounds into the description, for the model to read, and check the answer against the caller's own schema; so does
//! this, and so does whoever uses this crate. Where an object is open on purpose (`additionalProperties` is true or a
//! schema) it stays as it is, and the API refuses it: closing it would forbid what the caller allows.
//!
//! Invariant: nothing of the schema is lost: what leaves the grammar is in the description.

use serde_json::{Map, Value, json};

/// Keywords that the grammar does not know. Besides, it knows `minItems` for 0 and 1 only, and not every `format`.
const TOLD_IN_WORDS: [&str; 11] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// Values of `format` that the grammar knows.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Keywords that hold a schema for each of several names.
const BY_NAME: [&str; 4] = ["properties", "$defs", "definitions", "patternProperties"];

/// Keywords that hold a schema, or a list of schemas.
const NESTED: [&str; 6] = ["items", "prefixItems", "anyOf", "allOf", "additionalProperties", "not"];

/// The schema as the API takes it. The work is linear in its size, the depth what the JSON parser let through.
pub(super) fn restated(schema: &Value) -> Value {
    match schema {
        Value::Object(schema) => restated_object(schema),
        Value::Array(schemas) => schemas.iter().map(restated).collect(),
        other => other.clone(),
    }
}

fn restated_object(schema: &Map<String, Value>) -> Value {
    let mut out = Map::new();
    let mut bounds = Map::new();
    for (keyword, value) in schema {
        let name = keyword.as_str();
        if is_told_in_words(name, value) {
            bounds.insert(keyword.clone(), value.clone());
        } else if let (true, Some(by_name)) = (BY_NAME.contains(&name), value.as_object()) {
            let each = by_name.iter().map(|(name, schema)| (name.clone(), restated(schema)));
            out.insert(keyword.clone(), Value::Object(each.collect()));
        } else if name == "oneOf" && !schema.contains_key("anyOf") {
            out.insert("anyOf".into(), restated(value));
        } else if NESTED.contains(&name) {
            out.insert(keyword.clone(), restated(value));
        } else {
            out.insert(keyword.clone(), value.clone());
        }
    }
    if is_of_type_object(schema) {
        out.entry("additionalProperties").or_insert(json!(false));
    }
    let out = Value::Object(out);
    if bounds.is_empty() { out } else { described(out, Some(&Value::Object(bounds).to_string())) }
}

fn is_told_in_words(keyword: &str, value: &Value) -> bool {
    match keyword {
        "minItems" => value.as_u64().is_none_or(|least| least > 1),
        "format" => value.as_str().is_none_or(|format| !FORMATS.contains(&format)),
        _ => TOLD_IN_WORDS.contains(&keyword),
    }
}

fn is_of_type_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == "object",
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some("object")),
        _ => false,
    }
}

/// The schema with one more paragraph in its description.
pub(super) fn described(mut schema: Value, words: Option<&str>) -> Value {
    if let (Some(schema), Some(words)) = (schema.as_object_mut(), words.filter(|words| !words.is_empty())) {
        let description = match schema.get("description").and_then(Value::as_str) {
            Some(description) => format!("{description}\n\n{words}"),
            None => words.to_owned(),
        };
        schema.insert("description".into(), Value::String(description));
    }
    schema
}
