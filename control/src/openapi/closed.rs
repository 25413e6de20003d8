//! Mends what the macros cannot say: objects that refuse unknown fields and are part of another one, type parameters
//! that have names, and links that only rustdoc follows.
//!
//! `allOf` asks each of its members about every field: one that refuses what it does not know refuses the others' fields.
//! So such members are merged into one object that knows them all.

use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashMap};

/// Mends the whole document.
pub(super) fn flatten(document: &mut Value) {
    document["components"]["schemas"]["Problem"] = super::errors::envelope();
    let schemas = document["components"]["schemas"].clone();
    let names = names(&schemas);
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        refer_within(schema.1, &names);
    }
    walk(document, &schemas);
}

/// Objects that have a name, by what they are.
fn names(schemas: &Value) -> HashMap<String, String> {
    let named =
        schemas.as_object().into_iter().flatten().filter(|(_, schema)| schema["properties"].is_object());
    named.map(|(name, schema)| (schema.to_string(), format!("#/components/schemas/{name}"))).collect()
}

/// A type parameter's schema is written out where it is used: by its name it is shorter, and a client has a type for it.
fn refer_within(value: &mut Value, names: &HashMap<String, String>) {
    let parts: Vec<&mut Value> = match value {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => return,
    };
    for part in parts {
        match names.get(&part.to_string()).filter(|_| part["properties"].is_object()) {
            Some(name) => *part = json!({"$ref": name}),
            None => refer_within(part, names),
        }
    }
}

fn walk(value: &mut Value, schemas: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(merged) = fields.get("allOf").and_then(|members| merge(members, schemas)) {
                fields.remove("allOf");
                for (name, part) in merged {
                    fields.entry(name).or_insert(part);
                }
            }
            for (name, field) in fields {
                match field {
                    Value::String(text) if matches!(name.as_str(), "description" | "summary") => {
                        *text = text.replace("[`", "`").replace("`]", "`");
                    }
                    other => walk(other, schemas),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, schemas)),
        _ => {}
    }
}

/// One object of all members, if each is a plain object and one of them is closed.
fn merge(members: &Value, schemas: &Value) -> Option<Map<String, Value>> {
    let members: Vec<&Value> =
        members.as_array()?.iter().map(|member| resolve(member, schemas)).collect::<Option<_>>()?;
    let is_closed = |member: &&Value| member["additionalProperties"] == false;
    if !members.iter().any(is_closed) {
        return None;
    }
    let mut properties = Map::new();
    let mut required = BTreeSet::new();
    let mut merged = Map::new();
    for member in members {
        properties.extend(member["properties"].as_object()?.clone());
        required.extend(member["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        if let Some(about) = member.get("description") {
            merged.entry("description").or_insert_with(|| about.clone());
        }
    }
    merged.insert("type".into(), "object".into());
    merged.insert("properties".into(), properties.into());
    merged.insert("required".into(), json!(required));
    merged.insert("additionalProperties".into(), false.into());
    Some(merged)
}

fn resolve<'a>(member: &'a Value, schemas: &'a Value) -> Option<&'a Value> {
    match member["$ref"].as_str() {
        Some(reference) => schemas.get(reference.strip_prefix("#/components/schemas/")?),
        None => Some(member),
    }
}
