//! What this host can isolate.

mod programs;

pub use programs::{RUNSC_MIN_VERSION, is_static, runsc_version};
