//! The runner's loops against a control that is a model: simulated, over sockets, and as a process.
//!
//! One program, so that all of it shares the model, and the model shares nothing with the loops but the contract.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod gvisor;
mod model;
mod program;
mod protocol;
mod scenarios;
mod simulation;
