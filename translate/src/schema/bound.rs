//! How much work a schema can make: how often one value of an answer is looked at, at worst.
//!
//! Words like `allOf` and `$ref` look at the same value again, `properties` and `items` at the values in it. Counted along
//! one way into an answer, level by level, so that a schema that refers to itself twice is refused, and a plain tree is not.

use super::{SchemaError, error};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Most patterns in one schema.
pub const PATTERNS_MAX: usize = 32;
/// Deepest schema, counted in nested schemas and lists.
const DEPTH_MAX: usize = 64;
/// Deepest answer: `serde_json` reads no deeper one.
const ANSWER_DEPTH_MAX: usize = 128;
/// Most looks at one value: unions of some dozens of kinds, a few levels of references.
const LOOKS_MAX: u64 = 1_000;
/// Words that are refused, because what they look at depends on more than where they stand.
const REFUSED: [&str; 7] = [
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
    "$vocabulary",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// One schema within the whole.
#[derive(Default)]
struct Node {
    /// Those that look at the same value.
    same: Vec<usize>,
    /// Those that look at the values in it: of each list, one looks at any single value.
    inner: Vec<Vec<usize>>,
}

/// The schemas that can be reached, each once, however it is reached.
struct Graph<'s> {
    root: &'s Value,
    places: HashMap<*const Value, usize>,
    nodes: Vec<Node>,
    patterns: usize,
}

/// Checks a schema; answers how many patterns it has.
pub fn check(schema: &Value) -> Result<usize, SchemaError> {
    check_words(schema, "", 0)?;
    let mut graph = Graph { root: schema, places: HashMap::new(), nodes: Vec::new(), patterns: 0 };
    graph.add(schema, "")?;
    if graph.patterns > PATTERNS_MAX {
        return Err(error("", format!("at most {PATTERNS_MAX} patterns")));
    }
    graph.check_looks()?;
    Ok(graph.patterns)
}

/// Refuses, anywhere, what cannot be followed. Names of properties are no words.
fn check_words(value: &Value, path: &str, depth: usize) -> Result<(), SchemaError> {
    if depth > 2 * DEPTH_MAX {
        return Err(error(path, "is nested too deeply"));
    }
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let at = format!("{path}/{}", escaped(name));
                match name.as_str() {
                    "enum" | "const" | "default" | "examples" => {}
                    "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                        for (name, inner) in inner.as_object().into_iter().flatten() {
                            check_words(inner, &format!("{at}/{}", escaped(name)), depth + 2)?;
                        }
                    }
                    name if REFUSED.contains(&name) => return Err(error(&at, "is not supported")),
                    "$id" if depth > 0 => return Err(error(&at, "is only supported at the root")),
                    "$ref" => check_reference(inner, &at)?,
                    _ => check_words(inner, &at, depth + 1)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, inner)| check_words(inner, &format!("{path}/{index}"), depth + 1)),
        _ => Ok(()),
    }
}

fn check_reference(reference: &Value, path: &str) -> Result<(), SchemaError> {
    match reference.as_str() {
        Some(text) if text == "#" || text.starts_with("#/") => Ok(()),
        _ => Err(error(path, "must refer to a place in this schema, as `#/…`: nothing is fetched")),
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl<'s> Graph<'s> {
    fn add(&mut self, schema: &'s Value, path: &str) -> Result<usize, SchemaError> {
        if let Some(place) = self.places.get(&std::ptr::from_ref(schema)) {
            return Ok(*place);
        }
        let place = self.nodes.len();
        self.places.insert(std::ptr::from_ref(schema), place);
        self.nodes.push(Node::default());
        if let Value::Object(members) = schema {
            self.patterns += usize::from(members.contains_key("pattern"));
            let same = self.same(members, path)?;
            let inner = self.inner(members, path)?;
            if let Some(node) = self.nodes.get_mut(place) {
                *node = Node { same, inner };
            }
        }
        Ok(place)
    }

    fn same(&mut self, members: &'s Map<String, Value>, path: &str) -> Result<Vec<usize>, SchemaError> {
        let mut found = Vec::new();
        for word in ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"] {
            found.extend(self.list(members.get(word), &format!("{path}/{word}"))?);
        }
        for word in ["dependentSchemas", "dependencies"] {
            found.extend(self.map(members.get(word), &format!("{path}/{word}"))?);
        }
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let at = format!("{path}/$ref");
            let pointer = reference.trim_start_matches('#').replace("%25", "%");
            let meant = self.root.pointer(&pointer).ok_or_else(|| error(&at, "refers to nothing"))?;
            found.push(self.add(meant, &pointer)?);
        }
        Ok(found)
    }

    fn inner(&mut self, members: &'s Map<String, Value>, path: &str) -> Result<Vec<Vec<usize>>, SchemaError> {
        let mut found = vec![self.map(members.get("properties"), &format!("{path}/properties"))?];
        let patterns = self.map(members.get("patternProperties"), &format!("{path}/patternProperties"))?;
        self.patterns += patterns.len();
        found.extend(patterns.into_iter().map(|one| vec![one]));
        for word in ["items", "prefixItems"] {
            found.push(self.list(members.get(word), &format!("{path}/{word}"))?);
        }
        for word in ["additionalProperties", "additionalItems", "contains", "propertyNames"] {
            found.push(self.list(members.get(word), &format!("{path}/{word}"))?);
        }
        Ok(found)
    }

    /// A schema, or a list of them.
    fn list(&mut self, value: Option<&'s Value>, path: &str) -> Result<Vec<usize>, SchemaError> {
        match value {
            Some(Value::Array(items)) => items.iter().map(|item| self.add(item, path)).collect(),
            Some(schema) => Ok(vec![self.add(schema, path)?]),
            None => Ok(Vec::new()),
        }
    }

    fn map(&mut self, value: Option<&'s Value>, path: &str) -> Result<Vec<usize>, SchemaError> {
        let members = value.and_then(Value::as_object).into_iter().flatten();
        members.map(|(name, schema)| self.add(schema, &format!("{path}/{}", escaped(name)))).collect()
    }

    /// Level by level: how often one value at this depth is looked at, by way of each schema.
    fn check_looks(&self) -> Result<(), SchemaError> {
        let order = self.order()?;
        let mut deeper: Vec<u64> = vec![1; self.nodes.len()];
        for _ in 0..ANSWER_DEPTH_MAX {
            let mut looks: Vec<u64> = vec![0; self.nodes.len()];
            for place in &order {
                let Some(node) = self.nodes.get(*place) else { continue };
                let of = |all: &[u64], at: &usize| all.get(*at).copied().unwrap_or(LOOKS_MAX);
                let same: u64 = node.same.iter().map(|at| of(&looks, at)).sum();
                let most = |one: &Vec<usize>| one.iter().map(|at| of(&deeper, at)).max().unwrap_or(0);
                let inner: u64 = node.inner.iter().map(most).sum();
                let own = same.saturating_add(inner.max(1));
                if own > LOOKS_MAX {
                    return Err(error(
                        "",
                        "would look at a value too often: it refers to itself or to others too much",
                    ));
                }
                if let Some(looks) = looks.get_mut(*place) {
                    *looks = own;
                }
            }
            if looks == deeper {
                break;
            }
            deeper = looks;
        }
        Ok(())
    }

    /// The schemas so that those that look at the same value come before the one that makes them do so.
    fn order(&self) -> Result<Vec<usize>, SchemaError> {
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        let mut waits: Vec<usize> = self.nodes.iter().map(|node| node.same.len()).collect();
        for (place, node) in self.nodes.iter().enumerate() {
            for used in &node.same {
                if let Some(users) = users.get_mut(*used) {
                    users.push(place);
                }
            }
        }
        let mut order: Vec<usize> =
            waits.iter().enumerate().filter(|(_, waits)| **waits == 0).map(|(place, _)| place).collect();
        let mut at = 0;
        while let Some(place) = order.get(at).copied() {
            at += 1;
            for user in users.get(place).into_iter().flatten() {
                let Some(waits) = waits.get_mut(*user) else { continue };
                *waits -= 1;
                if *waits == 0 {
                    order.push(*user);
                }
            }
        }
        if order.len() < self.nodes.len() {
            return Err(error("", "refers to itself for the same value, and would never end"));
        }
        Ok(order)
    }
}
