//! What a client that was written against one document loses with the next. Pure.
//!
//! Requests may ask for less and take more, answers may give more: anything else breaks somebody. New words in an answer's
//! enum are no break, nor is a new status among the refusals: clients have to take words that they do not know.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema::{Direction, Schemas};

/// The methods of a path.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Every promise of `old` that `new` breaks, each in one line.
pub(super) fn breaking(old: &Value, new: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, item) in old["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let Some(before) = item.get(method) else { continue };
            let at = format!("{method} {path}");
            match new["paths"][path].get(method) {
                None => broken.push(format!("{at}: removed")),
                Some(after) => Compared { old, new, at: &at, broken: &mut broken }.operation(before, after),
            }
        }
    }
    broken.sort();
    broken.dedup();
    broken
}

/// One operation in both documents.
struct Compared<'a> {
    old: &'a Value,
    new: &'a Value,
    at: &'a str,
    broken: &'a mut Vec<String>,
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?));
    target.unwrap_or(value)
}

fn keys(value: &Value) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flat_map(serde_json::Map::keys)
}

impl Compared<'_> {
    fn tell(&mut self, what: impl std::fmt::Display) {
        self.broken.push(format!("{}: {what}", self.at));
    }

    fn operation(&mut self, before: &Value, after: &Value) {
        self.credentials(before, after);
        self.parameters(before, after);
        self.body(before, after);
        self.responses(before, after);
    }

    /// Each way to show who one is goes on to be enough.
    fn credentials(&mut self, before: &Value, after: &Value) {
        let ways = |operation: &Value| -> Vec<BTreeSet<String>> {
            let all = operation["security"].as_array().into_iter().flatten();
            all.map(|way| keys(way).cloned().collect()).collect()
        };
        let after = ways(after);
        let asked =
            |way: &BTreeSet<String>| after.is_empty() || after.iter().any(|other| other.is_subset(way));
        let before = ways(before);
        let before = if before.is_empty() { vec![BTreeSet::new()] } else { before };
        for way in before.iter().filter(|way| !asked(way)) {
            let way: Vec<&str> = way.iter().map(String::as_str).collect();
            self.tell(format_args!("credentials `{}` are no longer enough", way.join(" and ")));
        }
    }

    fn parameters(&mut self, before: &Value, after: &Value) {
        let list = |operation: &Value, document| -> Vec<Value> {
            let all = operation["parameters"].as_array().into_iter().flatten();
            all.map(|parameter| resolve(document, parameter).clone()).collect()
        };
        let (old, new) = (list(before, self.old), list(after, self.new));
        let find = |all: &[Value], wanted: &Value| {
            let same = |other: &&Value| other["name"] == wanted["name"] && other["in"] == wanted["in"];
            all.iter().find(same).cloned()
        };
        for parameter in &old {
            let name = format!("{} parameter `{}`", text(&parameter["in"]), text(&parameter["name"]));
            match find(&new, parameter) {
                None => self.tell(format_args!("{name} removed")),
                Some(after) => {
                    if after["required"] == true && parameter["required"] != true {
                        self.tell(format_args!("{name} is required now"));
                    }
                    self.schema(Direction::Request, &parameter["schema"], &after["schema"], &name);
                }
            }
        }
        for parameter in new.iter().filter(|other| other["required"] == true && find(&old, other).is_none()) {
            let (place, name) = (text(&parameter["in"]), text(&parameter["name"]));
            self.tell(format_args!("{place} parameter `{name}` is new and required"));
        }
    }

    fn body(&mut self, before: &Value, after: &Value) {
        let (old, new) =
            (resolve(self.old, &before["requestBody"]), resolve(self.new, &after["requestBody"]));
        if new["required"] == true && old["required"] != true {
            self.tell("a request body is required now");
        }
        self.content(Direction::Request, old, new, "request");
    }

    fn responses(&mut self, before: &Value, after: &Value) {
        for status in keys(&before["responses"]) {
            let Some(after) = after["responses"].get(status) else {
                self.tell(format_args!("response {status} removed"));
                continue;
            };
            let before = resolve(self.old, &before["responses"][status]);
            self.content(
                Direction::Response,
                before,
                resolve(self.new, after),
                &format!("response {status}"),
            );
        }
    }

    fn content(&mut self, direction: Direction, before: &Value, after: &Value, what: &str) {
        for kind in keys(&before["content"]) {
            match after["content"].get(kind) {
                None => self.tell(format_args!("{what}: `{kind}` removed")),
                Some(after) => {
                    self.schema(direction, &before["content"][kind]["schema"], &after["schema"], what);
                }
            }
        }
    }

    fn schema(&mut self, direction: Direction, before: &Value, after: &Value, at: &str) {
        let mut schemas = Schemas::new(self.old, self.new, direction);
        schemas.compare(before, after, at);
        for what in schemas.broken {
            self.tell(what);
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
#[path = "breaking_tests.rs"]
mod tests;
