//! The whole of Alpha Gate on this machine, for `cargo xtask up`, the tests and the benchmark.
//!
//! One launcher for three users, so that what a person runs is what is tested and what is measured.
//! Invariant: nothing of a bed outlives the process that started it, and beds do not see each other.

mod at_exit;
mod bare;
mod bed;
mod control;
mod demo;
mod edge;
mod faults;
mod http;
mod limits;
mod options;
mod peer;
pub mod places;
mod ports;
mod postgres;
mod process;
pub mod provider;
mod ready;
mod runner;
mod runtime;
mod secrets;
pub mod seed;
mod spawner;
mod stale;
mod store;

pub use bare::BareWorker;
pub use bed::Bed;
pub use demo::Demo;
pub use faults::EdgeCounts;
pub use http::client as http_client;
pub use options::{KvMode, Options, Ports, Progress};
pub use peer::{Peer, PeerLaunch};
pub use places::Scratch;
pub use postgres::{Database, Postgres, Server};
pub use provider::Provider;
pub use runner::{Isolation, Runner, RunnerOptions};
pub use secrets::Secrets;
