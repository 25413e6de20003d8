//! The path of a field, as control writes it in `param`: `targets[0].base_url`, sometimes `schema.required.0`.
//!
//! A pure part: a path is its steps, and an index is a step like any other.

use serde_json::{Map, Value};

/// The steps of a path.
pub(crate) fn steps(path: &str) -> Vec<String> {
    path.split(['.', '[', ']']).filter(|step| !step.is_empty()).map(str::to_owned).collect()
}

/// The steps as control writes them.
pub(crate) fn text(steps: &[String]) -> String {
    let mut text = String::new();
    for step in steps {
        let is_index = step.bytes().all(|byte| byte.is_ascii_digit());
        match (is_index, text.is_empty()) {
            (true, _) => text.push_str(&format!("[{step}]")),
            (false, true) => text.push_str(step),
            (false, false) => text.push_str(&format!(".{step}")),
        }
    }
    text
}

/// Sets the value at a path. Objects on the way are made; a list takes an index that it has, or the next one.
pub(crate) fn set(target: &mut Value, steps: &[String], value: Value) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        *target = value;
        return Ok(());
    };
    if target.is_null() {
        *target = Value::Object(Map::new());
    }
    let next = match target {
        Value::Object(members) => members.entry(step.as_str()).or_insert(Value::Null),
        Value::Array(items) => {
            let index: usize = step.parse().map_err(|_| format!("`{step}` is no index of a list"))?;
            if index == items.len() {
                items.push(Value::Null);
            }
            let length = items.len();
            items.get_mut(index).ok_or_else(|| format!("there is no item {index} in a list of {length}"))?
        }
        _ => return Err(format!("`{step}` would lie within something that is neither object nor list")),
    };
    set(next, rest, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_are_read_and_written() {
        for text in ["a", "targets[0].base_url", "evals[1].thresholds.pass_rate", "a[0][1].b"] {
            assert_eq!(super::text(&steps(text)), text);
        }
        assert_eq!(steps("schema.required.0"), steps("schema.required[0]"));
    }

    #[test]
    fn values_are_set_where_there_is_room_for_them() {
        let mut value = json!({"targets": [{"model": "a"}], "text": "x"});
        set(&mut value, &steps("targets[0].model"), json!("b")).unwrap();
        set(&mut value, &steps("targets[1].model"), json!("c")).unwrap();
        set(&mut value, &steps("allow.store"), json!(true)).unwrap();
        let expected =
            json!({"targets": [{"model": "b"}, {"model": "c"}], "text": "x", "allow": {"store": true}});
        assert_eq!(value, expected);
        for bad in ["targets[3].model", "targets.x", "text.a"] {
            assert!(set(&mut value, &steps(bad), Value::Null).is_err(), "{bad}");
        }
    }
}
