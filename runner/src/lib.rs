//! A host that runs untrusted jobs in gVisor.

pub mod classify;
pub mod doctor;
pub mod execute;
pub mod image;
pub mod output;
pub mod pool;
pub mod sandbox;
