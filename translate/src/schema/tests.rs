//! Which schemas can be used, what an answer violates, and that hostile ones cost no time.

use super::*;
use serde_json::json;

/// A tree of any width, as publishers write one.
fn tree() -> Value {
    json!({"$defs": {"node": {"type": "object", "properties": {
        "name": {"type": "string"},
        "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "right": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "more": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    }, "required": ["name"], "additionalProperties": false}}, "$ref": "#/$defs/node"})
}

#[test]
fn what_cannot_be_checked_is_refused_with_its_place() {
    let mut doubling = json!({"a40": {"type": "string"}});
    for at in 0..40 {
        let next = format!("#/$defs/a{}", at + 1);
        doubling[format!("a{at}")] = json!({"allOf": [{"$ref": next}, {"$ref": next}]});
    }
    let patterns: Vec<Value> = (0..40).map(|at| json!({"pattern": format!("^{at}$")})).collect();
    let mut deep = json!({});
    for _ in 0..200 {
        deep = json!({"items": deep});
    }
    let cases = [
        (json!({"type": "nonsense"}), "/type"),
        (json!({"$ref": "http://127.0.0.1:9/schema.json"}), "/$ref"),
        (json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), "/properties/a/$ref"),
        (json!({"$ref": "#/nowhere"}), "/$ref"),
        (json!({"$ref": "#"}), ""),
        (json!({"anyOf": [{"allOf": [{"$ref": "#"}]}]}), ""),
        (json!({"$defs": doubling, "$ref": "#/$defs/a0"}), ""),
        (json!({"properties": {"a": {"$ref": "#"}}, "allOf": [{"properties": {"a": {"$ref": "#"}}}]}), ""),
        (json!({"properties": {"a": {"pattern": "("}}}), "/properties/a/pattern"),
        (json!({"properties": {"a": {"pattern": "(a)\\1"}}}), "/properties/a/pattern"),
        (json!({"properties": {"a": {"pattern": "^(?=a)"}}}), "/properties/a/pattern"),
        (json!({"properties": {"a": {"pattern": "(\\w{1000}){1000}"}}}), "/properties/a/pattern"),
        (json!({"patternProperties": {"(?<!a)b": {}}}), "/patternProperties"),
        (json!({"anyOf": patterns}), ""),
        (json!({"properties": {"a": {"$id": "https://x/y"}}}), "/properties/a/$id"),
        (json!({"unevaluatedProperties": false}), "/unevaluatedProperties"),
        (json!({"$dynamicRef": "#x"}), "/$dynamicRef"),
        (json!({"description": "x".repeat(SCHEMA_MAX_BYTES)}), ""),
    ];
    for (schema, path) in cases {
        let shown: String = schema.to_string().chars().take(100).collect();
        let refused = check(&schema).expect_err(&shown);
        assert!(refused.path.starts_with(path) && !refused.message.is_empty(), "{shown}: {refused:?}");
        assert!(!path.is_empty() || refused.path.is_empty(), "{shown}: {refused:?}");
    }
    assert!(check(&deep).is_err());
}

#[test]
fn what_publishers_write_is_taken() {
    let kinds: Vec<Value> =
        (0..60).map(|at| json!({"properties": {"kind": {"const": at}}, "required": ["kind"]})).collect();
    let cases = [
        json!({}),
        tree(),
        json!({"type": "array", "items": {"anyOf": kinds}}),
        json!({"properties": {"$ref": {"type": "string"}, "unevaluatedItems": {"type": "integer"}}}),
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://x/y", "type": "object"}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "null"}},
            "properties": {"a": {"$ref": "#/definitions/a"}}}),
        json!({"properties": {"day": {"type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}$", "format": "date"}}}),
        json!({"enum": [{"$ref": "http://not.a/reference"}]}),
    ];
    for schema in cases {
        check(&schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
    }
}

#[test]
fn the_first_violation_is_named_by_its_path() {
    let schema = json!({"type": "object", "properties": {
        "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        "a/b": {"maxLength": 2},
    }, "required": ["list"], "additionalProperties": false});
    let schema = Schema::compile(&schema).unwrap();
    let cases = [
        (r#"{"list":[{"n":1}]}"#, None),
        (r#"{"list":[{"n":1},{"n":"secret"}]}"#, Some("/list/1/n")),
        (r#"{"list":[],"a/b":"long"}"#, Some("/a~1b")),
        (r#"{}"#, Some("")),
        (r#"{"list":[],"x":1}"#, Some("")),
        ("no JSON", Some("")),
        (r#"{"list":[]} and more"#, Some("")),
        ("", Some("")),
    ];
    for (text, path) in cases {
        let violation = schema.validate(text).err();
        assert_eq!(violation.as_ref().map(|violation| violation.path.as_str()), path, "{text}");
        assert!(violation.is_none_or(|violation| !violation.message.contains("secret")), "{text}");
    }
}

#[test]
fn hostile_patterns_and_answers_take_linear_time() {
    let schema = Schema::compile(&json!({"properties": {"a": {"pattern": "^(a+)+$"}}})).unwrap();
    let text = json!({"a": format!("{}b", "a".repeat(50_000))}).to_string();
    assert_eq!(schema.validate(&text).unwrap_err().path, "/a");
    let tree = Schema::compile(&tree()).unwrap();
    let mut answer = json!({"name": "leaf"});
    for _ in 0..40 {
        answer = json!({"name": "x", "left": answer, "right": null});
    }
    assert_eq!(tree.validate(&answer.to_string()), Ok(()));
    assert!(tree.validate(&"[".repeat(1_000_000)).is_err());
}
