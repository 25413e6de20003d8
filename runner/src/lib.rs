//! A host that runs untrusted jobs in gVisor.

pub mod classify;
pub mod execute;
pub mod output;
pub mod pool;
pub mod sandbox;
