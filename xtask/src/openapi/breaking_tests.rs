//! A table of changes: what breaks a client, and what does not.

use serde_json::{Value, json};

use super::breaking;

/// A document with one operation, in which one place is changed.
fn document(pointer: &str, value: Value) -> Value {
    let mut document = json!({
        "paths": {"/things/{id}": {"post": {
            "security": [{"key": []}],
            "parameters": [
                {"in": "path", "name": "id", "required": true, "schema": {"type": "string"}},
                {"in": "query", "name": "limit", "schema": {"type": "integer"}},
            ],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/New"}}}},
            "responses": {
                "201": {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "404": {"$ref": "#/components/responses/not_found"},
            },
        }}},
        "components": {
            "responses": {"not_found": {"description": ""}},
            "schemas": {
                "New": {
                    "type": "object", "required": ["name"], "additionalProperties": false,
                    "properties": {
                        "name": {"type": "string", "maxLength": 10},
                        "size": {"type": "integer"},
                        "color": {"type": "string", "enum": ["red", "blue"]},
                        "shape": {"oneOf": [
                            {"type": "object", "properties": {"kind": {"type": "string", "enum": ["round"]}, "r": {}}},
                            {"type": "object", "properties": {"kind": {"type": "string", "enum": ["flat"]}}},
                        ]},
                        "policy": {"oneOf": [{"type": "string", "enum": ["any"]}, {"type": "string", "enum": ["none"]}]},
                        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/New"}},
                    },
                },
                "Thing": {"allOf": [
                    {"$ref": "#/components/schemas/Named"},
                    {"type": "object", "required": ["color"], "properties": {"color": {"type": "string", "enum": ["red"]}}},
                ]},
                "Named": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            },
        },
    });
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    let parent = document.pointer_mut(parent).unwrap();
    if value.is_null() {
        parent.as_object_mut().unwrap().remove(&name);
    } else if let Some(items) = parent.as_array_mut() {
        items.push(value);
    } else {
        parent[name.as_str()] = value;
    }
    document
}

const POST: &str = "/paths/~1things~1{id}/post";
const NEW: &str = "/components/schemas/New";
const THING: &str = "/components/schemas/Thing";

fn change(pointer: &str, value: Value) -> Vec<String> {
    breaking(&document("/same", json!(1)), &document(pointer, value))
}

#[test]
fn what_breaks_a_client_is_named() {
    let rows = [
        ("/paths".to_owned() + "/~1things~1{id}", json!({}), "removed"),
        (format!("{POST}/security"), json!([{"other": []}]), "credentials `key` are no longer enough"),
        (
            format!("{POST}/parameters/2"),
            json!({"in": "header", "name": "x", "required": true}),
            "header parameter `x` is new and required",
        ),
        (format!("{POST}/parameters"), json!([]), "query parameter `limit` removed"),
        (format!("{POST}/responses/404"), Value::Null, "response 404 removed"),
        (format!("{POST}/requestBody/required"), json!(true), "a request body is required now"),
        (format!("{NEW}/required"), json!(["name", "size"]), "request.size: is required now"),
        (format!("{NEW}/properties/size"), Value::Null, "request.size: removed"),
        (
            format!("{NEW}/properties/size/type"),
            json!("string"),
            "request.size: type changed from integer to string",
        ),
        (format!("{NEW}/properties/size/minimum"), json!(1), "request.size: minimum is 1 now"),
        (format!("{NEW}/properties/name/maxLength"), json!(9), "request.name: maxLength is 9 now"),
        (format!("{NEW}/properties/name/pattern"), json!("^a"), "request.name: the pattern is \"^a\" now"),
        (
            format!("{NEW}/properties/color/enum"),
            json!(["red"]),
            "request.color: \"blue\" is no longer taken",
        ),
        (
            format!("{NEW}/properties/shape/oneOf"),
            json!([{"properties": {"kind": {"enum": ["flat"]}}}]),
            "request.shape: the form <round> is no longer taken",
        ),
        (format!("{THING}/allOf/1/properties/color"), Value::Null, "response 201.color: removed"),
        (format!("{THING}/allOf/1/required"), json!([]), "response 201.color: is not always there any more"),
        (
            "/components/schemas/Named/properties/name/type".to_owned(),
            json!(["string", "null"]),
            "response 201.name: type changed from string to null or string",
        ),
    ];
    for (pointer, value, wanted) in rows {
        let broken = change(&pointer, value);
        let wanted = format!("post /things/{{id}}: {wanted}");
        assert!(broken.contains(&wanted), "{pointer}: {broken:?} lacks {wanted}");
    }
}

#[test]
fn what_breaks_nobody_is_not() {
    let rows = [
        ("/paths/~1other".to_owned(), json!({"get": {"responses": {}}})),
        (format!("{POST}/security"), json!([{"key": []}, {"cookie": []}])),
        (format!("{POST}/security"), json!([])),
        (format!("{POST}/parameters/2"), json!({"in": "query", "name": "order"})),
        (format!("{POST}/responses/409"), json!({"description": ""})),
        (format!("{POST}/summary"), json!("Other words.")),
        (format!("{NEW}/required"), json!([])),
        (format!("{NEW}/properties/more"), json!({"type": "string"})),
        (format!("{NEW}/additionalProperties"), json!(true)),
        (format!("{NEW}/properties/size/type"), json!("number")),
        (format!("{NEW}/properties/size/type"), json!(["integer", "null"])),
        (format!("{NEW}/properties/name/maxLength"), json!(11)),
        (format!("{NEW}/properties/color/enum"), json!(["red", "blue", "green"])),
        (format!("{NEW}/properties/color/enum"), Value::Null),
        (format!("{THING}/allOf/1/properties/more"), json!({"type": "string"})),
        (format!("{THING}/allOf/1/properties/color/enum"), json!(["red", "blue"])),
        ("/components/schemas/Named/description".to_owned(), json!("A name.")),
    ];
    for (pointer, value) in rows {
        let broken = change(&pointer, value);
        assert!(broken.is_empty(), "{pointer}: {broken:?}");
    }
}

#[test]
fn schemas_that_refer_to_themselves_end() {
    let document = document("/same", json!(1));
    assert!(breaking(&document, &document).is_empty());
}
