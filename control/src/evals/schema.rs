//! The schema of an eval's items: compiled once to see that it can be, and again where items are checked.
//!
//! Nothing is fetched for it, and its patterns run in linear time: neither a schema nor an item can hold a thread.

use crate::error::Error;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value, json};

/// Longest schema, bytes: a hundred fields with a paragraph on each.
const SCHEMA_MAX_BYTES: usize = 256 * 1024;
/// Longest message about an item: it quotes what it complains of.
const MESSAGE_MAX_CHARS: usize = 300;

/// Checks items.
#[derive(Debug)]
pub(super) struct Schema(Validator);

impl Schema {
    /// Compiles a schema that is stored: it could be compiled before.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
        options.build(schema).map(Self).map_err(|error| brief(&error.to_string()))
    }

    /// What is wrong with an item: the path from `item` on, and why.
    pub(super) fn check(&self, item: &Value) -> Result<(), (String, String)> {
        let Some(error) = self.0.iter_errors(item).next() else { return Ok(()) };
        let path = error.instance_path().to_string().replace('/', ".");
        Err((format!("item{path}"), brief(&error.to_string())))
    }
}

fn brief(text: &str) -> String {
    text.chars().take(MESSAGE_MAX_CHARS).collect()
}

/// Checks a schema that somebody sends.
pub(super) fn accept(schema: &Map<String, Value>, param: &str) -> Result<(), Error> {
    let schema = Value::Object(schema.clone());
    let bytes = schema.to_string().len();
    if bytes > SCHEMA_MAX_BYTES {
        return Err(Error::field(param, format!("a schema has at most {SCHEMA_MAX_BYTES} bytes")));
    }
    Schema::compile(&schema)
        .map(drop)
        .map_err(|why| Error::field(param, format!("is not a JSON schema: {why}")))
}

/// The schema of a whole line, as OpenAI's SDKs read it back: the item, and the sample where there is one.
pub(super) fn of_line(item_schema: &Map<String, Value>, sample: bool) -> Value {
    let mut properties = Map::new();
    properties.insert("item".into(), Value::Object(item_schema.clone()));
    let mut required = vec!["item"];
    if sample {
        let text = json!({"type": "string"});
        properties.insert(
            "sample".into(),
            json!({"type": "object", "properties": {
                "model": text, "output_text": text, "output_json": {}, "output_tools": {"type": "array"},
                "choices": {"type": "array"}, "finish_reason": text,
            }, "required": ["output_text"]}),
        );
        required.push("sample");
    }
    json!({"type": "object", "properties": properties, "required": required})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_cannot_be_compiled_is_refused() {
        let bad = [
            json!({"type": "nonsense"}),
            json!({"$ref": "http://127.0.0.1:9/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#/nowhere"}),
            json!({"properties": {"a": {"pattern": "("}}}),
            json!({"properties": {"a": {"pattern": "(a)\\1"}}}),
            json!({"description": "x".repeat(SCHEMA_MAX_BYTES)}),
        ];
        for schema in bad {
            let text = schema.to_string();
            assert!(accept(&object(schema), "p").is_err(), "{}", &text[..text.len().min(80)]);
        }
        for good in [
            json!({}),
            json!({"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}),
        ] {
            accept(&object(good), "p").unwrap();
        }
    }

    #[test]
    fn an_item_is_checked_and_the_field_is_named() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}, "required": ["a"]});
        let schema = Schema::compile(&schema).unwrap();
        assert_eq!(schema.check(&json!({"a": [1]})), Ok(()));
        assert_eq!(schema.check(&json!({"a": [1, "x"]})).unwrap_err().0, "item.a.1");
        assert_eq!(schema.check(&json!({})).unwrap_err().0, "item");
    }

    #[test]
    fn patterns_take_linear_time() {
        let schema = Schema::compile(&json!({"properties": {"a": {"pattern": "^(a+)+$"}}})).unwrap();
        assert!(schema.check(&json!({"a": format!("{}b", "a".repeat(50_000))})).is_err());
    }
}
