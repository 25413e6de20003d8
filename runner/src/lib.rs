//! A host that runs untrusted jobs in gVisor.

mod attempt;
pub mod backoff;
mod board;
mod claim;
mod client;
mod commands;
pub mod desk;
pub mod doctor;
pub mod drain;
pub mod execute;
pub mod executor;
pub mod http;
pub mod image;
pub mod lease;
pub mod output;
pub mod platform;
pub mod pool;
pub mod runner;
pub mod sample;
pub mod sandbox;
pub mod scenario;
pub mod transport;
mod work;
