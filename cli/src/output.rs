//! Where things are printed: results to standard output, notes and failures to standard error.
//!
//! With `--json` standard output holds JSON and nothing else: one document a command, or a line each where it goes on.
//! Colours are left out where nobody would see them, or where `NO_COLOR` says so.

use crate::{
    failure::Failure,
    pages::Found,
    table::{self, Column},
};
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};

/// The word before a failure.
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// The two streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Whether somebody looks at standard error, so that a bar may move there.
    pub(crate) fn is_watched(self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }

    /// A result: itself for programs, a text for people.
    pub(crate) fn show(self, value: &Value, text: impl FnOnce(&Value) -> String) -> Result<(), Failure> {
        if self.json { self.document(value) } else { self.text(&text(value)) }
    }

    /// A result, member by member.
    pub(crate) fn record(self, value: &Value) -> Result<(), Failure> {
        self.show(value, table::record)
    }

    /// A list, and whether there is more.
    pub(crate) fn list(self, columns: &[Column], found: &Found) -> Result<(), Failure> {
        if self.json {
            return self.document(&json!({"data": found.data, "has_more": found.has_more}));
        }
        self.text(&table::table(columns, &found.data))?;
        if found.has_more {
            self.note("there is more: --all, or a larger --limit");
        }
        Ok(())
    }

    /// JSON over several lines.
    pub(crate) fn document(self, value: &Value) -> Result<(), Failure> {
        self.text(&format!("{value:#}"))
    }

    /// A line of its own.
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{}", text.trim_end_matches('\n'))?;
        Ok(out.flush()?)
    }

    /// Something beside the result. That nobody reads it is no failure.
    pub(crate) fn note(self, text: &str) {
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// Why there is no result.
    pub(crate) fn failure(self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        let text = if self.json {
            failure.json().to_string()
        } else {
            format!("{ERROR}error:{ERROR:#} {}", table::plain(&failure.text()))
        };
        self.note(&text);
    }
}
