//! Two schemas of the same thing, compared in the direction in which it travels. Pure.
//!
//! A request's schema must go on to take what it took; an answer's must go on to give what it gave.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::constraints;

/// Which way something travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

/// Both documents, and what was found.
pub(super) struct Schemas<'a> {
    old: &'a Value,
    new: &'a Value,
    direction: Direction,
    /// Pairs of references that were compared: schemas may refer to themselves.
    seen: BTreeSet<(String, String)>,
    /// What is broken, each with its place.
    pub(super) broken: Vec<String>,
}

/// What `allOf` and references come to.
#[derive(Debug, Default)]
struct Shape<'a> {
    types: BTreeSet<&'a str>,
    properties: BTreeMap<&'a str, &'a Value>,
    required: BTreeSet<&'a str>,
    is_closed: bool,
    choices: Vec<&'a Value>,
    /// The schemas that say all this.
    parts: Vec<&'a Value>,
}

impl<'a> Shape<'a> {
    fn of(document: &'a Value, schema: &'a Value) -> Self {
        let mut shape = Self::default();
        shape.add(document, schema, 0);
        shape
    }

    fn add(&mut self, document: &'a Value, schema: &'a Value, depth: usize) {
        /// References to references: a handful.
        const DEPTH_MAX: usize = 16;
        if depth > DEPTH_MAX {
            return;
        }
        let reference = schema["$ref"].as_str().and_then(|text| document.pointer(text.strip_prefix('#')?));
        if let Some(target) = reference {
            self.add(document, target, depth + 1);
        }
        for member in schema["allOf"].as_array().into_iter().flatten() {
            self.add(document, member, depth + 1);
        }
        self.types.extend(schema["type"].as_str());
        self.types.extend(schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str));
        let properties = schema["properties"].as_object().into_iter().flatten();
        self.properties.extend(properties.map(|(name, property)| (name.as_str(), property)));
        self.required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
        self.is_closed |= schema["additionalProperties"] == false;
        for word in ["oneOf", "anyOf"] {
            self.choices.extend(schema[word].as_array().into_iter().flatten());
        }
        self.parts.push(schema);
    }

    /// What a constraint says, if any part has it.
    fn says(&self, word: &str) -> Option<&'a Value> {
        self.parts.iter().find_map(|part| part.get(word)).filter(|value| !value.is_null())
    }
}

impl<'a> Schemas<'a> {
    pub(super) fn new(old: &'a Value, new: &'a Value, direction: Direction) -> Self {
        Self { old, new, direction, seen: BTreeSet::new(), broken: Vec::new() }
    }

    fn tell(&mut self, at: &str, what: impl std::fmt::Display) {
        self.broken.push(format!("{at}: {what}"));
    }

    /// Compares two schemas; `at` says where they stand.
    pub(super) fn compare(&mut self, before: &'a Value, after: &'a Value, at: &str) {
        if let (Some(old), Some(new)) = (before["$ref"].as_str(), after["$ref"].as_str())
            && !self.seen.insert((old.to_owned(), new.to_owned()))
        {
            return;
        }
        let (old, new) = (Shape::of(self.old, before), Shape::of(self.new, after));
        self.types(&old, &new, at);
        self.words(&old, &new, at);
        self.fields(&old, &new, at);
        self.choices(&old, &new, at);
        for word in ["items", "additionalProperties"] {
            if let (Some(old), Some(new)) = (old.says(word), new.says(word))
                && old.is_object()
                && new.is_object()
            {
                self.compare(old, new, &format!("{at}[]"));
            }
        }
        if self.direction == Direction::Request {
            let narrowed = constraints::narrowed(|word| old.says(word), |word| new.says(word));
            narrowed.into_iter().for_each(|what| self.tell(at, what));
        }
    }

    fn types(&mut self, old: &Shape<'_>, new: &Shape<'_>, at: &str) {
        let (from, to) = match self.direction {
            Direction::Request => (&old.types, &new.types),
            Direction::Response => (&new.types, &old.types),
        };
        let takes = |kind: &str| to.contains(kind) || (kind == "integer" && to.contains("number"));
        let fits = to.is_empty() || (!from.is_empty() && from.iter().all(|kind| takes(kind)));
        // Where a choice took the place of a type, the choices are compared.
        if !fits && old.choices.is_empty() && new.choices.is_empty() {
            let list = |types: &BTreeSet<&str>| types.iter().copied().collect::<Vec<_>>().join(" or ");
            self.tell(at, format_args!("type changed from {} to {}", list(&old.types), list(&new.types)));
        }
    }

    /// Enums: a request's may only grow.
    fn words(&mut self, old: &Shape<'_>, new: &Shape<'_>, at: &str) {
        let Some(new) = new.says("enum").and_then(Value::as_array) else { return };
        if self.direction == Direction::Response {
            return;
        }
        match old.says("enum").and_then(Value::as_array) {
            None => self.tell(at, "only some words are taken now"),
            Some(old) => {
                for word in old.iter().filter(|word| !new.contains(word)) {
                    self.tell(at, format_args!("{word} is no longer taken"));
                }
            }
        }
    }

    fn fields(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &str) {
        for (name, before) in &old.properties {
            let field = if at.is_empty() { (*name).to_owned() } else { format!("{at}.{name}") };
            match new.properties.get(name) {
                Some(after) => self.compare(before, after, &field),
                None if self.direction == Direction::Response || new.is_closed => {
                    self.tell(&field, "removed");
                }
                None => {}
            }
        }
        match self.direction {
            Direction::Request => {
                for name in new.required.difference(&old.required) {
                    self.tell(&format!("{at}.{name}"), "is required now");
                }
                if new.is_closed && !old.is_closed && !old.parts.is_empty() {
                    self.tell(at, "unknown fields are refused now");
                }
            }
            Direction::Response => {
                for name in
                    old.required.difference(&new.required).filter(|name| new.properties.contains_key(*name))
                {
                    self.tell(&format!("{at}.{name}"), "is not always there any more");
                }
            }
        }
    }

    /// Choices are told apart by what they refer to, or by the word that they are tagged with.
    fn choices(&mut self, old: &Shape<'a>, new: &Shape<'a>, at: &str) {
        let new_choices: BTreeMap<String, &'a Value> = new
            .choices
            .iter()
            .enumerate()
            .map(|(place, choice)| (tag(self.new, choice, place), *choice))
            .collect();
        for (place, before) in old.choices.iter().enumerate() {
            let name = tag(self.old, before, place);
            match new_choices.get(&name) {
                Some(after) => self.compare(before, after, &format!("{at}<{name}>")),
                None if self.direction == Direction::Request && new.types.is_empty() => {
                    self.tell(at, format_args!("the form <{name}> is no longer taken"));
                }
                None => {}
            }
        }
    }
}

/// How one of several forms is called.
fn tag(document: &Value, choice: &Value, place: usize) -> String {
    let shape = Shape::of(document, choice);
    let word = shape.properties.values().find_map(|property| match property["enum"].as_array()?.as_slice() {
        [Value::String(word)] => Some(word.clone()),
        _ => None,
    });
    let own = || match shape.says("enum")?.as_array()?.as_slice() {
        [Value::String(word)] => Some(word.clone()),
        _ => None,
    };
    let reference = || choice["$ref"].as_str().and_then(|text| text.rsplit('/').next()).map(str::to_owned);
    let single =
        || shape.types.iter().next().map(|kind| (*kind).to_owned()).filter(|_| shape.types.len() == 1);
    word.or_else(own).or_else(reference).or_else(single).unwrap_or_else(|| place.to_string())
}
