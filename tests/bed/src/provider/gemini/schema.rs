//! `Schema`: the part of OpenAPI 3.0 that Gemini calls a schema.
//!
//! Invariant: a keyword that the message does not have is an unknown name, as every JSON Schema notices.

use crate::provider::fault::{Fault, demand};
use crate::provider::place::Place;

const KEYWORDS: [&str; 22] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];
const TYPES: [&str; 7] = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];

pub(super) fn check(schema: &Place<'_>) -> Result<(), Fault> {
    schema.only(&KEYWORDS)?;
    for branch in schema.member("anyOf").map(|list| list.list()).transpose()?.unwrap_or_default() {
        check(&branch)?;
    }
    let kind = kind(schema)?;
    if let Some(items) = schema.member("items") {
        check(&items)?;
    } else {
        demand(kind != "ARRAY", || format!("{}: missing field.", schema.at("items")))?;
    }
    if let Some(values) = schema.member("enum") {
        for value in values.list()? {
            value.text()?;
        }
        let textual = kind == "STRING";
        demand(textual, || format!("{}: only allowed for STRING type", schema.at("enum")))?;
    }
    if let Some(format) = schema.member("format").filter(|_| kind == "STRING") {
        let known = matches!(format.text()?, "enum" | "date-time");
        let message = "only 'enum' and 'date-time' are supported for STRING type";
        demand(known, || format!("{}: {message}", format.path()))?;
    }
    properties(schema)
}

/// The type in capitals; small letters are taken, too.
fn kind(schema: &Place<'_>) -> Result<String, Fault> {
    let Some(kind) = schema.member("type") else {
        demand(schema.has("anyOf"), || format!("{}: must be specified", schema.at("type")))?;
        return Ok(String::new());
    };
    if kind.value.is_array() {
        let message = format!("Proto field is not repeating, cannot start list: '{}'", kind.path());
        return Err(Fault::at(kind.path(), message));
    }
    let name = kind.text()?.to_ascii_uppercase();
    if TYPES.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(Fault::at(kind.path(), format!("Invalid value at '{}': \"{name}\"", kind.path())))
}

fn properties(schema: &Place<'_>) -> Result<(), Fault> {
    let properties = schema.member("properties");
    if let Some(properties) = &properties {
        for name in properties.object()?.keys() {
            check(&properties.need(name)?)?;
        }
    }
    for name in schema.member("required").map(|list| list.list()).transpose()?.unwrap_or_default() {
        let text = name.text()?;
        let defined = properties.as_ref().is_some_and(|all| all.has(text));
        demand(defined, || format!("{}: property is not defined", name.path()))?;
    }
    Ok(())
}
