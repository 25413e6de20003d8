//! What the tests of the whole stack share: a stage to play on, and event streams read back.
//!
//! Invariant: every stage has orgs, names and a provider model of its own, so tests share a bed without seeing
//! one another.

pub mod door;
pub mod evaluator;
pub mod events;
mod host;
mod mode;
pub mod raw;
mod resident;
pub mod stage;
mod wait;

pub use door::Door;
pub use evaluator::Evaluator;
pub use events::{Event, read_events};
pub use host::{has_gvisor, memory_bytes, processes_with};
pub use mode::Mode;
pub use raw::Raw;
pub use resident::resident_bytes;
pub use stage::{Caller, Stage};
pub use wait::until;
