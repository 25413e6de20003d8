//! A bar that moves on a terminal, and is not there otherwise.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What it looks like.
const TEMPLATE: &str = "{bar:30} {pos}/{len}  {msg}  {elapsed}";

/// A bar, or nothing.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Of so many steps.
    pub(crate) fn new(output: Output) -> Self {
        let target =
            if output.is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        // A template that cannot be read would only look different.
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(bar.with_style(style.progress_chars("█▌ ")))
    }

    /// Shows how far it is.
    pub(crate) fn show(&self, done: u64, total: u64, message: String) {
        self.0.set_length(total);
        self.0.set_position(done);
        self.0.set_message(message);
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
        assert!(Bar::new(output).0.is_hidden());
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
