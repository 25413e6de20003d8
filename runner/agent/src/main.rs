//! PID 1 inside every sandbox: gets one job over its pipes, runs it as another user, says what became of it.
//!
//! Invariant: user code never has one of the agent's descriptors, capabilities or its user id; when the last frame is
//! out, no process of the job is left.

mod agent {
    pub mod ahead;
    pub mod candidates;
    pub mod disk;
    pub mod exchange;
    pub mod files;
    pub mod host;
    pub mod meter;
    pub mod process;
    pub mod running;
    pub mod session;
    pub mod syscalls;
    pub mod user;
}

use std::process::ExitCode;

fn main() -> ExitCode {
    match agent::session::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the runner's log of this sandbox; user code has another.
            eprintln!("alphagate-agent: {error}");
            ExitCode::FAILURE
        }
    }
}
