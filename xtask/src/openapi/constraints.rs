//! The bounds of a request's value: they may only widen. Pure.

use serde_json::Value;

/// Bounds that keep values up, and bounds that keep them down.
const LEAST: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const MOST: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];

/// What is taken no longer, by what both schemas say of each word.
pub(super) fn narrowed<'a>(
    old: impl Fn(&str) -> Option<&'a Value>,
    new: impl Fn(&str) -> Option<&'a Value>,
) -> Vec<String> {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    let mut found = Vec::new();
    for word in LEAST {
        let (before, after) = (number(old(word)), number(new(word)));
        // What was at least 0 by nature is not narrowed by saying so.
        let was = before.unwrap_or(if word == "minimum" { f64::NEG_INFINITY } else { 0.0 });
        if let Some(after) = after.filter(|after| *after > was) {
            found.push(format!("{word} is {after} now"));
        }
    }
    for word in MOST {
        let (before, after) = (number(old(word)).unwrap_or(f64::INFINITY), number(new(word)));
        if let Some(after) = after.filter(|after| *after < before) {
            found.push(format!("{word} is {after} now"));
        }
    }
    if let Some(pattern) = new("pattern").filter(|pattern| old("pattern") != Some(pattern)) {
        found.push(format!("the pattern is {pattern} now"));
    }
    found
}
