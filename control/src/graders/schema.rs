//! Whether data of a JSON schema may have a value at a path.
//!
//! Says no only where the schema says so plainly: `properties` without the name, and no other word that could bring it
//! in. OpenAI refuses references to what the item schema does not list; so do we, as early as that.

use serde_json::{Map, Value};

/// Words by which a schema may allow names that its `properties` do not list.
const OPENINGS: [&str; 12] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "dependentSchemas",
    "else",
    "if",
    "oneOf",
    "patternProperties",
    "then",
    "unevaluatedProperties",
    "additionalProperties",
];

/// Whether a value of `schema` may have something at `keys`.
#[must_use]
pub fn may_have(schema: &Value, keys: &[String]) -> bool {
    let Some((key, rest)) = keys.split_first() else { return true };
    let Value::Object(fields) = schema else { return schema.as_bool() != Some(false) };
    match part(fields, key) {
        Part::Schema(inner) => may_have(inner, rest),
        Part::Anything => true,
        Part::Nothing => false,
    }
}

enum Part<'a> {
    Schema(&'a Value),
    Anything,
    Nothing,
}

fn part<'a>(schema: &'a Map<String, Value>, key: &str) -> Part<'a> {
    if let Some(inner) = schema.get("properties").and_then(|properties| properties.get(key)) {
        return Part::Schema(inner);
    }
    if OPENINGS.iter().any(|word| schema.get(*word).is_some_and(|value| value != &Value::Bool(false))) {
        return Part::Anything;
    }
    let place = key.bytes().all(|byte| byte.is_ascii_digit());
    match (schema.get("items"), schema.get("properties"), schema.get("type").and_then(Value::as_str)) {
        (Some(items @ Value::Object(_)), _, Some("array")) if place => Part::Schema(items),
        (_, _, Some("array")) if place => Part::Anything,
        (_, _, Some("array" | "string" | "number" | "integer" | "boolean" | "null")) => Part::Nothing,
        (_, Some(_), _) => Part::Nothing,
        (_, None, _) => Part::Anything,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_the_schema_plainly_lacks_is_denied() {
        let schema = json!({
            "type": "object",
            "properties": {
                "q": {"type": "string"},
                "list": {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
                "open": {"type": "object"},
                "more": {"type": "object", "properties": {"x": {}}, "additionalProperties": true},
                "either": {"anyOf": [{"type": "string"}, {"type": "object"}]},
                "never": false,
            },
            "additionalProperties": false,
        });
        let cases: [(&[&str], bool); 14] = [
            (&[], true),
            (&["q"], true),
            (&["nope"], false),
            (&["q", "x"], false),
            (&["list", "0", "a"], true),
            (&["list", "0", "b"], false),
            (&["list", "first"], false),
            (&["open", "any", "thing"], true),
            (&["more", "y"], true),
            (&["either", "z"], true),
            (&["never", "z"], false),
            (&["list", "3"], true),
            (&["more", "x", "deep"], true),
            (&["open"], true),
        ];
        for (keys, may) in cases {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            assert_eq!(may_have(&schema, &keys), may, "{keys:?}");
        }
        assert!(may_have(&json!({}), &["x".to_owned()]));
        assert!(!may_have(&json!(false), &["x".to_owned()]));
    }
}
