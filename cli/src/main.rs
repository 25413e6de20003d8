//! `alphagate`: the gateway from a terminal and from pipelines.
//!
//! It knows nothing that control's API does not say: every command is a few calls, and what they answer. Results go to
//! standard output, as tables for people or as JSON (`--json`); everything else goes to standard error.

mod arguments;
mod client;
mod commands;
mod config;
mod context;
mod credential;
mod document;
mod exit;
mod failure;
mod follow;
mod output;
mod pages;
mod path;
mod progress;
mod retry;
mod table;
mod transport;

use arguments::Arguments;
use clap::Parser as _;
use context::Context;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Arguments { global, command } = Arguments::parse();
    let context = Context::new(global);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let status = match runtime {
        Ok(runtime) => runtime.block_on(command.run(&context)),
        Err(error) => Err(error.into()),
    };
    match status {
        Ok(status) => status.into(),
        Err(failure) => {
            context.output.failure(&failure);
            failure.status().into()
        }
    }
}
