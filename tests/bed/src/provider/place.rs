//! A value within a request's body, and how to refuse it in the words of its provider.
//!
//! Invariant: a refusal names the place in the notation that the provider itself uses.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::fault::Fault;

/// Whose notation and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    OpenAi,
    Anthropic,
    Gemini,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    path: String,
    style: Style,
}

impl<'a> Place<'a> {
    /// The whole body.
    pub(super) fn root(value: &'a Value, style: Style) -> Self {
        Self { value, path: String::new(), style }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Where a member stands, whether it is there or not.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A member that is there and not null.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Self { value, path: self.at(name), style: self.style })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// A member that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Self, Fault> {
        self.member(name).ok_or_else(|| {
            let at = self.at(name);
            match self.style {
                Style::OpenAi => Fault::at(&at, format!("Missing required parameter: '{at}'."))
                    .coded("missing_required_parameter"),
                Style::Anthropic => Fault::at(&at, format!("{at}: Field required")),
                Style::Gemini => Fault::at(&at, format!("{at}: must be specified")),
            }
        })
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<Vec<Self>, Fault> {
        let list = self.value.as_array().ok_or_else(|| self.wrong_type("an array"))?;
        Ok(list.iter().enumerate().map(|(index, value)| self.element(index, value)).collect())
    }

    fn element(&self, index: usize, value: &'a Value) -> Self {
        let path = match self.style {
            Style::Anthropic => format!("{}.{index}", self.path),
            Style::OpenAi | Style::Gemini => format!("{}[{index}]", self.path),
        };
        Self { value, path, style: self.style }
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, Fault> {
        self.value.as_object().ok_or_else(|| self.wrong_type("an object"))
    }

    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        self.value.as_str().ok_or_else(|| self.wrong_type("a string"))
    }

    /// A number within bounds, if the member is there.
    pub(super) fn bounded(&self, name: &str, bounds: RangeInclusive<f64>) -> Result<(), Fault> {
        let Some(place) = self.member(name) else { return Ok(()) };
        let number = place.value.as_f64().ok_or_else(|| place.wrong_type("a number"))?;
        if bounds.contains(&number) {
            return Ok(());
        }
        let bounds = format!("between {} and {}", bounds.start(), bounds.end());
        Err(place.refused(&format!("{number} is out of range: it must be {bounds}")))
    }

    /// A whole number of at least `least`, if the member is there.
    pub(super) fn whole(&self, name: &str, least: u64) -> Result<(), Fault> {
        let Some(place) = self.member(name) else { return Ok(()) };
        let number = place.value.as_u64().ok_or_else(|| place.wrong_type("an integer"))?;
        if number >= least { Ok(()) } else { Err(place.refused(&format!("must be at least {least}"))) }
    }

    /// A text that must be one of these.
    pub(super) fn one_of(&self, allowed: &[&str]) -> Result<&'a str, Fault> {
        let text = self.text()?;
        if allowed.contains(&text) {
            return Ok(text);
        }
        let list = allowed.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
        let fault = match self.style {
            Style::OpenAi => format!("Invalid value: '{text}'. Supported values are: {list}."),
            Style::Anthropic => format!("{}: Input should be {list}", self.path),
            Style::Gemini => format!("Invalid value at '{}': \"{text}\"", self.path),
        };
        Err(Fault::at(&self.path, fault).coded("invalid_value"))
    }

    /// Refuses members that the provider does not know. What begins with `x_` is a test's own.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        let unknown =
            self.object()?.keys().find(|name| !known.contains(&name.as_str()) && !name.starts_with("x_"));
        let Some(name) = unknown else { return Ok(()) };
        let at = self.at(name);
        Err(match self.style {
            Style::OpenAi => Fault::at(&at, format!("Unknown parameter: '{at}'.")).coded("unknown_parameter"),
            Style::Anthropic => Fault::at(&at, format!("{at}: Extra inputs are not permitted")),
            Style::Gemini => {
                let within =
                    if self.path.is_empty() { String::new() } else { format!(" at '{}'", self.path) };
                let message = format!(
                    "Invalid JSON payload received. Unknown name \"{name}\"{within}: Cannot find field."
                );
                Fault::at(&self.path, message)
            }
        })
    }

    pub(super) fn wrong_type(&self, wanted: &str) -> Fault {
        let path = &self.path;
        let message = match self.style {
            Style::OpenAi => {
                format!("Invalid type for '{path}': expected {wanted}, but got {} instead.", self.kind())
            }
            Style::Anthropic => format!("{path}: Input should be {wanted}"),
            Style::Gemini => format!("Invalid value at '{path}': expected {wanted}"),
        };
        Fault::at(path, message).coded("invalid_type")
    }

    /// A refusal of this very place, for a reason of its own.
    pub(super) fn refused(&self, why: &str) -> Fault {
        let path = &self.path;
        let message = match self.style {
            Style::OpenAi => format!("Invalid '{path}': {why}."),
            Style::Anthropic => format!("{path}: {why}"),
            Style::Gemini => format!("{path}: {why}"),
        };
        Fault::at(path, message).coded("invalid_value")
    }

    fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// Letters, digits, `_` and `-`, as many as names of tools and schemas have at OpenAI and Anthropic.
pub(super) fn is_name(name: &str, longest: usize) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= longest && name.chars().all(fits)
}
