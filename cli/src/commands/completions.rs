//! `alphagate completions`: what a shell needs to complete command lines.

use crate::{arguments::Arguments, failure::Failure};
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use std::io::Write as _;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alphagate completions bash > ~/.local/share/bash-completion/completions/alphagate
  alphagate completions zsh > ~/.zfunc/_alphagate
  alphagate completions fish > ~/.config/fish/completions/alphagate.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        // Written as a whole: what generates it would panic where nobody reads.
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "alphagate", &mut text);
        Ok(std::io::stdout().lock().write_all(&text)?)
    }
}
