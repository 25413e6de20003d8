//! The JSON schema of what a model generates: whether it can be checked safely, and what an answer violates.
//!
//! Invariant: neither a schema nor an answer can hold a thread. Nothing is fetched, patterns run in linear time, and how
//! often one value is looked at is bounded before the schema is compiled ([`bound`]). Formats are not checked: they say what
//! is meant, and models take them as such.

mod bound;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;
use std::fmt;

/// Longest schema, bytes of JSON.
pub const SCHEMA_MAX_BYTES: usize = 64 * 1024;
/// Longest answer that is checked, bytes: far beyond what models generate at once.
pub const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Largest compiled pattern, bytes; with at most [`bound::PATTERNS_MAX`] of them a schema has 4 MB. A class of Unicode letters
/// takes about 20 kB.
const PATTERN_MAX_BYTES: usize = 128 * 1024;
/// Largest cache of a pattern's automaton, bytes.
const PATTERN_CACHE_MAX_BYTES: usize = 256 * 1024;
/// Longest message: it may quote what it complains of.
const MESSAGE_MAX_CHARS: usize = 300;

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SchemaError {
    /// Where in the schema, as a JSON pointer; empty: the whole.
    pub path: String,
    /// Why.
    pub message: String,
}

/// What an answer violates first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Violation {
    /// Where in the answer, as a JSON pointer; empty: the whole.
    pub path: String,
    /// What is expected there.
    pub message: String,
}

/// A schema, ready to check answers.
pub struct Schema {
    validator: Validator,
    patterns: usize,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("patterns", &self.patterns).finish_non_exhaustive()
    }
}

/// Whether a schema can be used.
///
/// # Errors
/// [`SchemaError`] for the first place that cannot be.
pub fn check(schema: &Value) -> Result<(), SchemaError> {
    Schema::compile(schema).map(drop)
}

impl Schema {
    /// Makes a schema ready.
    ///
    /// # Errors
    /// [`SchemaError`] when it is no schema, or cannot be checked in bounded time without fetching anything.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        if schema.to_string().len() > SCHEMA_MAX_BYTES {
            return Err(error("", format!("at most {SCHEMA_MAX_BYTES} bytes of JSON")));
        }
        let patterns = bound::check(schema)?;
        let regex =
            PatternOptions::regex().size_limit(PATTERN_MAX_BYTES).dfa_size_limit(PATTERN_CACHE_MAX_BYTES);
        let options =
            jsonschema::options().offline().with_pattern_options(regex).should_validate_formats(false);
        let validator = options.build(schema).map_err(|error| SchemaError {
            path: error.instance_path().to_string(),
            message: brief(&error),
        })?;
        Ok(Self { validator, patterns })
    }

    /// What it weighs in memory, in patterns; the rest of it counts as one.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.patterns + 1
    }

    /// Checks the text of an answer.
    ///
    /// # Errors
    /// The first [`Violation`]; what is no JSON violates at the root.
    pub fn validate(&self, text: &str) -> Result<(), Violation> {
        let at_root = |message: &str| Violation { path: String::new(), message: message.to_owned() };
        if text.len() > ANSWER_MAX_BYTES {
            return Err(at_root("is too long to be checked"));
        }
        let answer: Value = serde_json::from_str(text).map_err(|_| at_root("is not JSON"))?;
        match self.validator.iter_errors(&answer).next() {
            None => Ok(()),
            Some(error) => Err(Violation { path: error.instance_path().to_string(), message: brief(&error) }),
        }
    }
}

fn error(path: &str, message: impl Into<String>) -> SchemaError {
    SchemaError { path: path.to_owned(), message: message.into() }
}

/// The values themselves are left out: they may be long, and may be the caller's.
fn brief(error: &ValidationError<'_>) -> String {
    error.masked().to_string().chars().take(MESSAGE_MAX_CHARS).collect()
}

#[cfg(test)]
#[path = "schema/tests.rs"]
mod tests;
