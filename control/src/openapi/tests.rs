//! The document names every route, its examples hold to its own schemas, and the committed file is this document.

use super::{document, text};
use serde_json::{Map, Value, json};
use std::{fs, path::Path};

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    items.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let faults = document().faults;
    assert!(faults.is_empty(), "the OpenAPI document is not whole:\n{}", faults.join("\n"));
}

#[test]
fn every_operation_has_a_summary_and_every_body_an_example() {
    let document = document().json;
    for (at, operation) in operations(&document) {
        assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{at}: a doc comment");
        if let Some(body) = operation.pointer("/requestBody/content/application~1json") {
            assert!(!body["example"].is_null(), "{at}: `request_body(content = …, example = json!(…))`");
        }
    }
}

/// A schema that can be compiled by itself.
fn whole(schema: &Value, document: &Value) -> Value {
    json!({"allOf": [schema], "components": document["components"]})
}

#[test]
fn examples_hold_to_their_schemas() {
    let document = document().json;
    let check = |at: &str, schema: &Value, example: &Value| {
        let validator = jsonschema::validator_for(&whole(schema, &document)).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(example)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{at}: {errors:?}");
    };
    let mut checked = 0;
    for (at, operation) in operations(&document) {
        if let Some(body) = operation.pointer("/requestBody/content/application~1json") {
            check(&at, &body["schema"], &body["example"]);
            checked += 1;
        }
    }
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        let content = &response["content"]["application/json"];
        for example in content["examples"].as_object().unwrap().values() {
            check(name, &content["schema"], &example["value"]);
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} examples");
}

#[test]
fn what_is_referred_to_is_there() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let found = document.pointer(reference.trim_start_matches('#'));
                    assert!(found.is_some(), "{reference} is nowhere");
                }
                fields.values().for_each(|field| walk(field, document));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            _ => {}
        }
    }
    let document = document().json;
    walk(&document, &document);
}

#[test]
fn the_committed_file_is_the_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/openapi.json");
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text(),
        "clients/openapi.json is not what the program serves: run `cargo xtask openapi` and commit what it writes"
    );
}

#[test]
fn members_that_refuse_unknown_fields_are_merged() {
    let mut document = json!({
        "components": {"schemas": {
            "Closed": {"type": "object", "required": ["a"], "properties": {"a": {}}, "additionalProperties": false},
            "Whole": {"allOf": [{"$ref": "#/components/schemas/Closed"}, {"type": "object", "properties": {"b": {}}}]},
            "Open": {"allOf": [{"type": "object", "properties": {"b": {}}}], "description": "see [`Closed`]"},
        }},
    });
    super::closed::flatten(&mut document);
    let schemas = &document["components"]["schemas"];
    let whole: &Map<String, Value> = schemas["Whole"].as_object().unwrap();
    assert!(!whole.contains_key("allOf"));
    assert_eq!(whole["properties"], json!({"a": {}, "b": {}}));
    assert_eq!((&whole["required"], &whole["additionalProperties"]), (&json!(["a"]), &json!(false)));
    assert!(schemas["Open"]["allOf"].is_array());
    assert_eq!(schemas["Open"]["description"], "see `Closed`");
}
