//! Members of a caller's JSON object, read with their path, so that a refusal says exactly where.
//!
//! Invariant: a member that is null is as one that is absent; one of another type than asked for is refused by its path.

use crate::call::Refusal;
use serde_json::{Map, Value};

/// An object of the caller's body, and where it is.
pub(crate) struct Members<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Members<'a> {
    /// The body itself.
    pub(crate) const fn of_body(map: &'a Map<String, Value>) -> Self {
        Self { map, path: String::new() }
    }

    /// The object at `path`.
    pub(crate) fn of(value: &'a Value, path: String) -> Result<Self, Refusal> {
        match value.as_object() {
            Some(map) => Ok(Self { map, path }),
            None => Err(wrong(path, "an object", value)),
        }
    }

    /// Where the object is; empty: the body itself.
    pub(crate) fn here(&self) -> &str {
        &self.path
    }

    /// Where the member is.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        self.read(name, "a string", Value::as_str)
    }

    pub(crate) fn needed_text(&self, name: &str) -> Result<&'a str, Refusal> {
        self.text(name)?.ok_or_else(|| self.missing(name, "a string"))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        self.read(name, "a boolean", Value::as_bool)
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn count(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
        let Some(count) = self.read(name, "a whole number", Value::as_u64)? else { return Ok(None) };
        if (least..=most).contains(&count) {
            return Ok(Some(count));
        }
        let most = if most == u64::MAX { String::new() } else { format!(" and at most {most}") };
        Err(Refusal::invalid(self.path(name), format!("must be at least {least}{most}")))
    }

    /// A number from `least` to `most`.
    pub(crate) fn number(&self, name: &str, least: f64, most: f64) -> Result<Option<f64>, Refusal> {
        let Some(number) = self.read(name, "a number", Value::as_f64)? else { return Ok(None) };
        if (least..=most).contains(&number) {
            return Ok(Some(number));
        }
        Err(Refusal::invalid(self.path(name), format!("must be from {least} to {most}")))
    }

    pub(crate) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, Refusal> {
        self.read(name, "an array", |value| value.as_array().map(Vec::as_slice))
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        self.get(name).map(|value| Self::of(value, self.path(name))).transpose()
    }

    /// A string that is one of `known`.
    pub(crate) fn one_of(&self, name: &str, known: &[&str]) -> Result<Option<&'a str>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if known.contains(&text) {
            return Ok(Some(text));
        }
        Err(Refusal::invalid(self.path(name), format!("must be one of {}", known.join(", "))))
    }

    /// Refuses members that are neither known nor null.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.map.iter().find(|(name, value)| !value.is_null() && !known.contains(&name.as_str())) {
            Some((name, _)) => {
                Err(Refusal::unsupported(self.path(name), "this member has no meaning that could be kept"))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn missing(&self, name: &str, what: &str) -> Refusal {
        Refusal::invalid(self.path(name), format!("is required, and must be {what}"))
    }

    fn read<T>(
        &self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| wrong(self.path(name), what, value))
    }
}

/// A value of another type than it must be.
pub(crate) fn wrong(path: String, what: &str, value: &Value) -> Refusal {
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Refusal::invalid(path, format!("must be {what}, and is {is}"))
}
