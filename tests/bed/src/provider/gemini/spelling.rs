//! Members in the spelling of the reference: proto3's JSON takes `snake_case`, too, and Google's own SDKs send it.
//!
//! Invariant: what a caller named himself, arguments, properties and JSON Schemas, stays as it is.

use serde_json::{Map, Value};

/// Members whose values are the caller's own.
const FOREIGN: [&str; 7] =
    ["args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "default", "example"];

/// `body` with every member in `camelCase`.
pub(in crate::provider) fn as_spelled(body: Value) -> Value {
    match body {
        Value::Array(list) => list.into_iter().map(as_spelled).collect(),
        Value::Object(members) => members.into_iter().map(member).collect::<Map<_, _>>().into(),
        other => other,
    }
}

fn member((name, value): (String, Value)) -> (String, Value) {
    let name = camel(&name);
    let value = match value {
        value if FOREIGN.contains(&name.as_str()) => value,
        Value::Object(own) if name == "properties" => {
            own.into_iter().map(|(name, schema)| (name, as_spelled(schema))).collect::<Map<_, _>>().into()
        }
        value => as_spelled(value),
    };
    (name, value)
}

fn camel(name: &str) -> String {
    // A test's own members are no protocol's.
    if name.starts_with("x_") {
        return name.to_owned();
    }
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut chars = word.chars();
        camel.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::as_spelled;

    #[test]
    fn members_of_the_protocol_are_spelled_one_way_and_the_callers_own_stay() {
        let sent = json!({"generation_config": {"response_schema": {"any_of": [{"properties": {"a_b": {"max_items": 1}}}]}},
            "contents": [{"parts": [{"function_call": {"args": {"a_b": 1}}}]}], "x_fake": {"eol": "cr"}});
        let read = json!({"generationConfig": {"responseSchema": {"anyOf": [{"properties": {"a_b": {"maxItems": 1}}}]}},
            "contents": [{"parts": [{"functionCall": {"args": {"a_b": 1}}}]}], "x_fake": {"eol": "cr"}});
        assert_eq!(as_spelled(sent), read);
    }
}
