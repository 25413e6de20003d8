//! What a version may ask of answers and requests: what could not be checked at the edge is refused here, with its path.

use crate::bed::{Bed, code, text, version};
use serde_json::{Value, json};

/// A version with one more field.
fn with(field: &str, value: Value) -> Value {
    let mut version = version(None);
    version[field] = value;
    version
}

fn output(schema: Value) -> Value {
    with("output_schema", json!({"name": "out", "schema": schema}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_schema_or_shape_that_cannot_be_checked_is_422_with_its_path() {
    let bed = Bed::start().await;
    let org = bed.org("a").await;
    let endpoint = text(&bed.make(&org, "/v1/endpoints", json!({"name": "e"})).await["id"]);
    let path = format!("/v1/endpoints/{endpoint}/versions");
    let pattern = |pattern: &str| output(json!({"properties": {"a": {"pattern": pattern}}}));
    let cases = [
        (pattern("(a)\\1"), "output_schema.schema.properties.a.pattern"),
        (pattern("^(?=a)"), "output_schema.schema.properties.a.pattern"),
        (pattern("(\\w{1000}){1000}"), "output_schema.schema.properties.a.pattern"),
        (output(json!({"$ref": "https://example.com/schema"})), "output_schema.schema.$ref"),
        (output(json!({"anyOf": [{"$ref": "#"}]})), "output_schema.schema"),
        (output(json!({"type": "nonsense"})), "output_schema.schema.type"),
        (output(json!({"description": "x".repeat(70_000)})), "output_schema.schema"),
        (output(json!([])), "output_schema.schema"),
        (with("output_schema", json!({"name": "a b", "schema": {}})), "output_schema.name"),
        (with("shape", json!({"input_max_bytes": 0})), "shape.input_max_bytes"),
        (with("shape", json!({"images_max": 501})), "shape.images_max"),
        (with("shape", json!({"image_kinds": []})), "shape.image_kinds"),
        (with("shape", json!({"tools": {"named": [""]}})), "shape.tools"),
    ];
    for (body, param) in cases {
        let reply = bed.post(&org, &path, body).await;
        assert_eq!(code(&reply), (422, "unprocessable"), "{param}: {}", reply.1);
        assert_eq!(reply.1["error"]["param"], param, "{}", reply.1);
    }
    let good = output(json!({"properties": {"a": {"pattern": "^(a+)+$"}}}));
    let (status, made) = bed.post(&org, &path, good).await;
    assert_eq!((status, &made["version"]), (201, &json!(1)), "{made}");
}
