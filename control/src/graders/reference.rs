//! References into a datum: `item.a.b[0]`, `sample.output_json['a key']`.
//!
//! Invariant: a reference that leads nowhere is an error that names it, never an empty text.

use serde_json::Value;
use std::fmt;

/// Deepest reference: serde_json nests at most 128 levels.
const KEYS_MAX: usize = 128;

/// Where a reference starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// The datum.
    Item,
    /// What the model answered to it.
    Sample,
}

/// A path into the item or the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    root: Root,
    keys: Vec<String>,
    text: String,
}

/// A reference that leads nowhere in this datum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` does not exist: {why}")]
pub struct MissingReference {
    /// Where it starts.
    pub root: Root,
    /// The reference as it was written.
    pub text: String,
    /// At which key it ends.
    pub why: String,
}

impl MissingReference {
    /// Whether it wanted the sample to be JSON.
    pub(super) fn is_json(&self) -> bool {
        self.root == Root::Sample && self.text.contains("output_json")
    }
}

impl Reference {
    /// Reads a reference without its braces.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (root, mut rest) = [("item", Root::Item), ("sample", Root::Sample)]
            .into_iter()
            .find_map(|(word, root)| Some((root, text.strip_prefix(word)?)))?;
        let mut keys = Vec::new();
        while !rest.is_empty() {
            let (key, after) = rest.strip_prefix('.').map_or_else(|| bracket(rest), name)?;
            keys.push(key);
            rest = after;
        }
        (keys.len() <= KEYS_MAX).then(|| Self { root, keys, text: text.to_owned() })
    }

    /// Where it starts.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// The keys after the root.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// What it leads to.
    pub fn find<'a>(&self, item: &'a Value, sample: &'a Value) -> Result<&'a Value, MissingReference> {
        let mut value = match self.root {
            Root::Item => item,
            Root::Sample => sample,
        };
        for key in &self.keys {
            value = step(value, key).ok_or_else(|| MissingReference {
                root: self.root,
                text: self.text.clone(),
                why: format!("there is no `{key}` in {}", kind(value)),
            })?;
        }
        Ok(value)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(key),
        Value::Array(values) => values.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

/// What a value is, for people.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "this array",
        Value::Object(_) => "this object",
    }
}

/// A name after a dot, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, after) = text.split_at_checked(end)?;
    let plain = |c: char| !(c.is_whitespace() || c.is_control() || "]{}'\"|()+*/,:".contains(c));
    (!name.is_empty() && name.chars().all(plain)).then(|| (name.to_owned(), after))
}

/// A place or a quoted name in brackets, and what follows it.
fn bracket(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('[')?;
    if let Some(quote) = inside.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (name, after) = inside.get(1..)?.split_once(quote)?;
        return Some((name.to_owned(), after.strip_prefix(']')?));
    }
    let (place, after) = inside.split_once(']')?;
    let digits = !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| (place.to_owned(), after))
}
