//! A bar that moves on a terminal, and is not there otherwise.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// A bar, or nothing.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Of so many steps.
    pub(crate) fn new(output: Output) -> Self {
        Self::with(output, "{bar:30} {pos}/{len}  {msg}  {elapsed}")
    }

    /// Of which nobody knows how long it takes.
    pub(crate) fn spinner(output: Output) -> Self {
        let bar = Self::with(output, "{spinner} {msg}  {elapsed}");
        if output.is_watched() {
            bar.0.enable_steady_tick(TICK);
        }
        bar
    }

    fn with(output: Output, template: &str) -> Self {
        let target =
            if output.is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        // The templates above are tested; one that cannot be read would only look different.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(bar.with_style(style.progress_chars("█▌ ")))
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, done: u64, total: u64, message: String) {
        self.0.set_length(total);
        self.0.set_position(done);
        self.0.set_message(message);
    }

    /// Shows what is going on.
    pub(crate) fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_who_reads_json_sees_a_bar() {
        let output = Output::new(true);
        assert!(!output.is_watched());
        assert!(Bar::new(output).0.is_hidden() && Bar::spinner(output).0.is_hidden());
    }
}
