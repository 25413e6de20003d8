//! A host that runs untrusted jobs in gVisor.

mod attempt;
pub mod backoff;
mod board;
mod claim;
pub mod classify;
mod client;
mod commands;
pub mod desk;
pub mod drain;
pub mod execute;
pub mod executor;
pub mod host;
pub mod http;
pub mod lease;
pub mod output;
pub mod platform;
pub mod pool;
pub mod pump;
pub mod runner;
pub mod sample;
pub mod sandbox;
pub mod scenario;
pub mod serve;
pub mod settings;
pub mod transport;
pub mod watched;
mod work;
