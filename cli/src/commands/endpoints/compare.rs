//! How two values differ, as lines that a person reads and as changes that a program does. Pure.

use crate::path;
use serde_json::{Value, json};
use similar::TextDiff;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The value as lines, one for each leaf; a text of several lines keeps them.
fn lines(value: &Value) -> String {
    let mut text = String::new();
    for (path, leaf) in leaves(value) {
        match leaf.as_str().filter(|leaf| leaf.contains('\n')) {
            Some(leaf) => {
                text.push_str(&format!("{path}: |\n"));
                leaf.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
            }
            None => text.push_str(&format!("{path}: {leaf}\n")),
        }
    }
    text
}

/// Every leaf with its path; an empty list or object is one.
fn leaves(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    gather(value, &mut Vec::new(), &mut found);
    found
}

fn gather(value: &Value, at: &mut Vec<String>, found: &mut Vec<(String, Value)>) {
    let mut inside = |step: String, value: &Value| {
        at.push(step);
        gather(value, at, found);
        at.pop();
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, member)| inside(name.clone(), member));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, item)| inside(index.to_string(), item));
        }
        leaf => found.push((path::text(at), leaf.clone())),
    }
}

/// A unified diff; empty where there is no difference.
pub(super) fn unified(before: (&str, &Value), after: (&str, &Value)) -> String {
    let (old, new) = (lines(before.1), lines(after.1));
    let diff = TextDiff::from_lines(&old, &new);
    diff.unified_diff().context_radius(CONTEXT).header(before.0, after.0).to_string()
}

/// Every leaf that was added, removed or changed.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Value> {
    let (before, after) = (leaves(before), leaves(after));
    let find = |leaves: &[(String, Value)], path: &str| {
        leaves.iter().find(|(known, _)| known == path).map(|(_, leaf)| leaf.clone())
    };
    let mut changes = Vec::new();
    for (path, leaf) in &before {
        let new = find(&after, path);
        if new.as_ref() != Some(leaf) {
            changes.push(json!({"path": path, "before": leaf, "after": new}));
        }
    }
    let added = after.iter().filter(|(path, _)| find(&before, path).is_none());
    changes.extend(added.map(|(path, leaf)| json!({"path": path, "before": null, "after": leaf})));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_names_the_leaves_that_changed() {
        let before = json!({"name": "a", "text": "one\ntwo\nthree", "list": [1, 2], "gone": true});
        let after = json!({"name": "a", "text": "one\n2\nthree", "list": [1, 3], "new": {}});
        assert_eq!(unified(("x", &before), ("y", &before)), "");
        let diff = unified(("there", &before), ("here", &after));
        for line in [
            "--- there",
            "+++ here",
            "-gone: true",
            "-list[1]: 2",
            "+list[1]: 3",
            "+new: {}",
            "-  two",
            "+  2",
        ] {
            assert!(diff.lines().any(|found| found == line), "{line}:\n{diff}");
        }
        let paths: Vec<String> = changes(&before, &after)
            .iter()
            .map(|change| change["path"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(paths, ["gone", "list[1]", "text", "new"]);
        assert!(changes(&before, &before).is_empty());
    }
}
