//! A host that runs untrusted jobs in gVisor.

pub mod execute;
pub mod pool;
pub mod sandbox;
