//! What the programs agreed on: the words, records and rules that `edge`, `control` and `runner` share.
//!
//! Pure: no I/O, no async, no clock, no randomness (time and random bytes are parameters), and it builds
//! for wasm32. A module lives here only if at least two programs use it.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod endpoint;
pub mod id;
pub mod job;
pub mod key;
pub mod name;
pub mod policy;
pub mod problem;
pub mod quota;
pub mod record;
pub mod response_id;
pub mod ring;
pub mod seal;
pub mod secret;
pub mod sign;
pub mod usage;
